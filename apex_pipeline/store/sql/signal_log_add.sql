INSERT INTO signal_log (fingerprint, signal_type, instrument, payload, status, instance_id)
VALUES (%(fingerprint)s, %(signal_type)s, %(instrument)s, %(payload)s, %(status)s, %(instance_id)s)
ON CONFLICT (fingerprint) DO NOTHING
