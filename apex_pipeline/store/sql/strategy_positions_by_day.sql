-- What open strategies hold, counted on the day on which each was last traded.
SELECT m.day, count(*) AS rows
FROM strategy_positions p
JOIN (SELECT strategy_uid, max(trade_date) AS day FROM order_strategy_map GROUP BY 1) AS m USING (strategy_uid)
WHERE m.day BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
