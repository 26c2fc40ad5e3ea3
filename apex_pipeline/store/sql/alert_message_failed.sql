UPDATE alert_messages
SET error = %(error)s, is_uncertain = %(is_uncertain)s, next_attempt_at = greatest(next_attempt_at, %(not_before)s)
WHERE message_uid = %(message_uid)s
