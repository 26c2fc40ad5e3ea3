DELETE FROM alerts WHERE ended_at < %(before)s;
DELETE FROM alert_messages m WHERE m.told_at < %(before)s
    AND NOT EXISTS (SELECT FROM alert_tellings t WHERE t.message_uid = m.message_uid)
