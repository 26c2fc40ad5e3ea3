SELECT broker, account_id, positions FROM latest_position_snapshots
WHERE account_id = coalesce(%(account)s, account_id) AND broker = coalesce(%(broker)s, broker)
