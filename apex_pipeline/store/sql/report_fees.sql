SELECT broker, to_char(charged_on, 'YYYY-MM') AS month, fee_type, currency, sum(amount) AS total
FROM fees_norm GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
