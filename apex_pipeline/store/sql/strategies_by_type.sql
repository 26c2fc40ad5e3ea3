-- Groups of each day by type and action, the most frequent first, with their mean confidence. A group belongs to the day of
-- its first order.
WITH named AS (
    SELECT strategy_uid, min(trade_date) AS day, min(strategy_type) AS strategy_type, min(action) AS action,
           count(*) AS orders, max(confidence) AS confidence
    FROM order_strategy_map WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
)
SELECT day, strategy_type, action, count(*) AS strategies, sum(orders)::bigint AS orders, round(avg(confidence), 3) AS confidence
FROM named GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3
