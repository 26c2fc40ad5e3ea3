UPDATE trade_signals SET status = 'EXPIRED'
WHERE status = 'PENDING' AND created_at < clock_timestamp() - make_interval(secs => %(hours)s * 3600)
