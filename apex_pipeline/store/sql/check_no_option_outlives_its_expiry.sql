-- C05. Options that are still held, as far as movements tell, on the weekday after their expiry. Only where the account's
-- known days reach it: IB reports a Friday's expiry on Monday, and Futu shows it in a later snapshot of positions only.
WITH options AS (
    SELECT i.symbol, i.expiry, i.underlying, i.ib_conid, i.futu_code, day.after
    FROM instruments i CROSS JOIN LATERAL (
        SELECT i.expiry + CASE extract(isodow FROM i.expiry) WHEN 5 THEN 3 WHEN 6 THEN 2 ELSE 1 END AS after) AS day
    WHERE i.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT') AND day.after BETWEEN %(from_date)s AND %(to_date)s
), known AS (
    SELECT 'IB' AS broker, account_id, max(to_date) AS last FROM load_coverage
    WHERE broker = 'IB' AND data_type = 'ib_flex' GROUP BY account_id
    UNION ALL
    SELECT 'FUTU', account_id, max(business_date) FROM positions_raw_futu GROUP BY account_id
), asked AS (
    SELECT DISTINCT k.broker, k.account_id, o.symbol, o.expiry, o.underlying, o.after, own.id
    FROM options o
    JOIN known k ON k.last >= o.after
    CROSS JOIN LATERAL unnest(ARRAY[o.symbol, CASE k.broker WHEN 'IB' THEN o.ib_conid ELSE o.futu_code END]) AS own (id)
    WHERE own.id IS NOT NULL
)
SELECT a.broker, a.account_id, a.symbol AS subject, a.after AS business_date, 0::numeric AS expected,
       trim_scale(sum(m.qty)) AS actual, 'ERROR' AS severity, 'LIFECYCLE' AS cause,
       jsonb_build_object('symbol', a.symbol, 'underlying', a.underlying, 'expiry', a.expiry,
                          'last_movement', max(m.business_date)) AS evidence
FROM asked a JOIN position_movements m ON m.account_id = a.account_id AND m.instrument_id = a.id
WHERE m.broker = a.broker AND m.business_date <= a.after
GROUP BY a.broker, a.account_id, a.symbol, a.after, a.underlying, a.expiry
HAVING sum(m.qty) <> 0
ORDER BY 1, 2, 3
