SELECT broker, account_id, net_liquidation, currency, captured_at FROM latest_account_snapshots ORDER BY broker, account_id
