-- The message that waits for a channel, and when something was told there last; not what a clock that was ahead wrote down.
SELECT w.message_uid, w.title, w.body, w.attempts, w.next_attempt_at, w.is_uncertain,
       (SELECT max(m.told_at) FROM alert_messages m WHERE m.channel = c.channel AND m.told_at <= %(at)s) AS told_at
FROM (SELECT %(channel)s::text AS channel) AS c
LEFT JOIN alert_messages w ON w.channel = c.channel AND w.told_at IS NULL
