-- B07. Orders with a fee; executions of IB that belong to no order count by themselves.
SELECT broker, account_id, charged_on AS business_date, count(DISTINCT coalesce(order_uid, trade_uid, fee_uid)) AS subjects
FROM fees_norm
WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
