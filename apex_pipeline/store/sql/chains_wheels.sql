SELECT account_id, underlying, min(opened_on) AS opened_on, currency, count(*) AS chains,
       count(*) FILTER (WHERE wheel_stage = 'WHEEL_ASSIGNED') AS puts_assigned,
       count(*) FILTER (WHERE wheel_stage IN ('WHEEL_COVERED_CALL', 'WHEEL_CALLED_AWAY')) AS calls_sold,
       count(*) FILTER (WHERE wheel_stage = 'WHEEL_CALLED_AWAY') AS called_away,
       sum(stock_held) AS stock_held, sum(net_premium) AS net_premium, sum(stock_pnl) AS stock_pnl,
       sum(realized_pnl) AS realized_pnl
FROM strategy_chains WHERE wheel_uid IS NOT NULL
GROUP BY account_id, underlying, wheel_uid, currency ORDER BY 3 DESC, 1, 2, wheel_uid
LIMIT %(most)s
