INSERT INTO alert_messages (message_uid, channel, title, body, made_at, next_attempt_at)
VALUES (%(message_uid)s, %(channel)s, '', '', %(at)s, %(at)s)
