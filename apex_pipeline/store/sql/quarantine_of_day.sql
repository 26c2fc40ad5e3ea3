-- What stands in quarantine of an account and day.
SELECT kind, broker_key, reason FROM quarantine
WHERE resolved_at IS NULL AND broker = %(broker)s AND account_id = %(account_id)s AND business_date = %(on)s
ORDER BY kind, broker_key, quarantine_uid
