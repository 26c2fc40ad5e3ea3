UPDATE alert_messages SET told_at = %(at)s, is_uncertain = false, error = %(error)s WHERE message_uid = %(message_uid)s
