SELECT broker, what, rows FROM (
    SELECT broker, 'orders' AS what, count(*) AS rows, 1 AS place FROM orders_norm GROUP BY 1
    UNION ALL SELECT broker, 'trades', count(*), 2 FROM trades_norm GROUP BY 1
    UNION ALL SELECT broker, 'fees', count(*), 3 FROM fees_norm GROUP BY 1
) AS counted ORDER BY broker, place
