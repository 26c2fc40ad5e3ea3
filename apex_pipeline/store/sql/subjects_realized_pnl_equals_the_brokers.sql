SELECT f.business_date, count(*) AS subjects
FROM broker_trade_figures f JOIN trades_norm t USING (trade_uid)
WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.realized_pnl IS NOT NULL
  AND t.effective AND t.asset_class NOT IN ('FX', 'COMBO')
  AND (f.realized_pnl <> 0 OR f.position_effect IN ('CLOSE', 'CLOSE_OPEN'))
  AND NOT EXISTS (SELECT FROM realized_pnl r WHERE r.close_trade_uid = f.trade_uid
                  AND r.basis_source NOT IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON'))
GROUP BY 1
