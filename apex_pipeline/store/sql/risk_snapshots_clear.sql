DELETE FROM risk_snapshots
