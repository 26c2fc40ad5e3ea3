SELECT strategy_type, count(DISTINCT strategy_uid) AS strategies, count(*) AS orders, round(avg(confidence), 3) AS confidence
FROM order_strategy_map GROUP BY 1 ORDER BY 2 DESC, 1
