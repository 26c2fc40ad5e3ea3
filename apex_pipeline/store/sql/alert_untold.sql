-- What a channel was not told: what stands, and what began and ended since the channel was first used.
SELECT a.alert_id FROM alerts a
WHERE NOT EXISTS (SELECT FROM alert_tellings t WHERE t.alert_id = a.alert_id AND t.channel = %(channel)s)
  AND (a.ended_at IS NULL OR a.opened_at > (SELECT min(m.made_at) FROM alert_messages m WHERE m.channel = %(channel)s))
