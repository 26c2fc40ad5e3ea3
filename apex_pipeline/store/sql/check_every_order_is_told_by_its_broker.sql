-- B03. Orders that Futu never told are rebuilt from their deals and marked by their source.
SELECT broker, account_id, order_uid AS subject, trade_date AS business_date, 1::numeric AS expected,
       0::numeric AS actual, 'WARN' AS severity, 'REFERENCE_DATA' AS cause,
       jsonb_build_object('symbol', symbol, 'filled_qty', filled_qty::text) AS evidence
FROM orders_norm
WHERE source = 'futu_deals' AND trade_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3
