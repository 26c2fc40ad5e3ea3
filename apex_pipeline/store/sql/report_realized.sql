-- What was realized, beside the broker's own figure for the same closing trades where it tells one.
WITH ours AS (
    SELECT broker, account_id, close_trade_uid, currency, sum(realized_pnl) AS realized_pnl,
           bool_and(realized_pnl IS NOT NULL) AS known
    FROM realized_pnl GROUP BY 1, 2, 3, 4
)
SELECT o.broker, o.account_id, o.currency, count(*) AS closing_trades,
       sum(o.realized_pnl) AS realized_pnl,
       sum(f.realized_pnl) FILTER (WHERE o.known) AS by_the_broker,
       count(*) FILTER (WHERE NOT o.known) AS basis_unknown
FROM ours o LEFT JOIN broker_trade_figures f ON f.trade_uid = o.close_trade_uid
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
