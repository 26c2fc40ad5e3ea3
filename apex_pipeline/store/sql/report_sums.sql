SELECT broker, what, currency, total FROM (
    SELECT broker, 'traded amount' AS what, currency, sum(amount) AS total FROM trades_norm WHERE effective GROUP BY 1, 3
    UNION ALL SELECT broker, 'fees', currency, sum(amount) FROM fees_norm GROUP BY 1, 3
) AS summed ORDER BY 1, 2, 3
