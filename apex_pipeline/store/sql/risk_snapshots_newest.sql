SELECT scope, captured_at FROM latest_risk_snapshots ORDER BY scope
