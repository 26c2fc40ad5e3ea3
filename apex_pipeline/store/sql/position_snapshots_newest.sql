SELECT broker, account_id, position_count, captured_at FROM latest_position_snapshots ORDER BY broker, account_id
