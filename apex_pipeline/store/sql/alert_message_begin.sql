-- Stored before the attempt: who dies in it leaves a message that is sent again.
UPDATE alert_messages
SET title = %(title)s, body = %(body)s, attempts = attempts + 1, is_uncertain = true, next_attempt_at = %(next_attempt_at)s
WHERE message_uid = %(message_uid)s
