-- Each channel that was ever used: when something was told last, and what waits.
SELECT c.channel, max(c.told_at) AS told_at, count(c.told_at) AS messages,
       max(c.attempts) FILTER (WHERE c.told_at IS NULL) AS attempts,
       max(c.next_attempt_at) FILTER (WHERE c.told_at IS NULL) AS next_attempt_at,
       max(c.error) FILTER (WHERE c.told_at IS NULL) AS error
FROM alert_messages c GROUP BY 1 ORDER BY 1
