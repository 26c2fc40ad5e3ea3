-- B06. Orders that have rows of a fee of which Futu told a total (see the check).
SELECT 'FUTU' AS broker, c.account_id, c.charged_on AS business_date, count(*) AS subjects
FROM (
    SELECT order_uid, account_id, max(charged_on) AS charged_on FROM fees_norm
    WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND broker = 'FUTU' AND order_uid IS NOT NULL GROUP BY 1, 2
) AS c
JOIN fees_raw_futu r ON r.account_id = c.account_id AND r.record_key = substr(c.order_uid, length(c.account_id) + 7)
WHERE jsonb_typeof(r.payload -> 'feeAmount') = 'number'
  AND NOT jsonb_path_exists(r.payload, '$.feeList[*] ? (@.value.type() != "number")')
GROUP BY 2, 3
