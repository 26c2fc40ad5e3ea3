SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects FROM (
    SELECT f.account_id, f.business_date
    FROM broker_trade_figures f JOIN trades_norm t USING (trade_uid)
    WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.realized_pnl IS NOT NULL
      AND t.effective AND t.asset_class NOT IN ('FX', 'COMBO')
      AND (f.realized_pnl <> 0 OR f.position_effect IN ('CLOSE', 'CLOSE_OPEN'))
      AND NOT EXISTS (SELECT FROM realized_pnl r WHERE r.close_trade_uid = f.trade_uid
                      AND r.basis_source NOT IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON'))
    UNION ALL
    SELECT account_id, business_date FROM (
        SELECT a.account_id, a.business_date, array_agg(a.action_uid) AS uids FROM corporate_actions a
        WHERE a.business_date BETWEEN %(from_date)s AND %(to_date)s AND a.broker = 'IB' AND a.asset_class NOT IN ('FX', 'COMBO')
        GROUP BY a.account_id, a.business_date, coalesce(a.broker_action_id, a.action_uid)
        HAVING sum(a.realized_pnl) <> 0
    ) AS actions
    WHERE NOT EXISTS (SELECT FROM realized_pnl r WHERE r.close_trade_uid = ANY (actions.uids)
                      AND r.basis_source NOT IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON'))
) AS compared
GROUP BY 1, 2, 3
