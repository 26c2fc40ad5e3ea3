SELECT charged_on AS business_date, count(DISTINCT order_uid) AS subjects FROM fees_norm
WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND trade_uid IS NULL AND broker = 'FUTU' GROUP BY 1
