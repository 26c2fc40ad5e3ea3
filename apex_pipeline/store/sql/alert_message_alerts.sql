SELECT a.kind, a.fingerprint, a.severity, a.subject, a.line, a.advice, a.opened_at, a.ended_at FROM alerts a
JOIN alert_tellings t USING (alert_id)
WHERE t.message_uid = %(message_uid)s ORDER BY a.alert_id
