-- What stands, and what ended lately, the newest first.
SELECT a.kind, a.severity, a.subject, a.line, a.advice, a.opened_at, a.ended_at,
       (SELECT jsonb_object_agg(t.channel, m.told_at) FROM alert_tellings t JOIN alert_messages m USING (message_uid)
        WHERE t.alert_id = a.alert_id) AS told
FROM alerts a WHERE a.ended_at IS NULL OR a.ended_at > %(since)s
ORDER BY a.ended_at IS NOT NULL, a.severity, a.alert_id DESC
