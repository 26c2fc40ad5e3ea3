SELECT strategy_type AS type, action, currency, count(*) AS strategies, sum(net_premium) AS net_premium,
       sum(realized_pnl) AS realized_pnl, sum(fees) AS fees, round(avg(confidence), 3) AS confidence
FROM strategies GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
LIMIT %(most)s
