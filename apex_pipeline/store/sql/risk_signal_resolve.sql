UPDATE risk_signals SET resolved_at = coalesce(%(at)s, clock_timestamp())
WHERE signal_uid = %(signal_uid)s AND resolved_at IS NULL
