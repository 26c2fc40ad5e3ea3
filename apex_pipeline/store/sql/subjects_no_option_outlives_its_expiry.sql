WITH options AS (
    SELECT i.symbol, i.ib_conid, i.futu_code, day.after
    FROM instruments i CROSS JOIN LATERAL (
        SELECT i.expiry + CASE extract(isodow FROM i.expiry) WHEN 5 THEN 3 WHEN 6 THEN 2 ELSE 1 END AS after) AS day
    WHERE i.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT') AND day.after BETWEEN %(from_date)s AND %(to_date)s
), known AS (
    SELECT 'IB' AS broker, account_id, max(to_date) AS last FROM load_coverage
    WHERE broker = 'IB' AND data_type = 'ib_flex' GROUP BY account_id
    UNION ALL
    SELECT 'FUTU', account_id, max(business_date) FROM positions_raw_futu GROUP BY account_id
)
SELECT o.after AS business_date, count(DISTINCT (k.broker, k.account_id, o.symbol)) AS subjects
FROM options o
JOIN known k ON k.last >= o.after
CROSS JOIN LATERAL unnest(ARRAY[o.symbol, CASE k.broker WHEN 'IB' THEN o.ib_conid ELSE o.futu_code END]) AS own (id)
JOIN position_movements m ON m.account_id = k.account_id AND m.instrument_id = own.id
WHERE m.broker = k.broker
GROUP BY 1
