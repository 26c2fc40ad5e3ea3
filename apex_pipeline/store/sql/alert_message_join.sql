INSERT INTO alert_tellings (alert_id, channel, message_uid)
SELECT alert_id, %(channel)s, %(message_uid)s FROM unnest(%(alert_ids)s::bigint[]) AS alert_id
