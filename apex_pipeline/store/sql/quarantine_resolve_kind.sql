UPDATE quarantine SET resolved_at = clock_timestamp()
WHERE stage = 'normalize' AND resolved_at IS NULL AND broker = %(broker)s AND account_id = %(account_id)s
  AND kind = %(kind)s AND quarantine_uid <> ALL (%(still)s)
