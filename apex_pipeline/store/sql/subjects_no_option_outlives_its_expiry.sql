WITH expired AS MATERIALIZED (
    SELECT i.symbol, i.underlying, i.asset_class, i.expiry, i.currency, i.multiplier, i.ib_conid, i.futu_code,
           coalesce((
               SELECT min(d.on_date) FROM market_days d
               WHERE d.is_session AND d.on_date BETWEEN i.expiry + 1 AND i.expiry + 14
                 AND d.calendar = CASE split_part(i.symbol, '.', 1) WHEN 'US' THEN 'XNYS' WHEN 'HK' THEN 'XHKG' END),
               i.expiry + CASE extract(isodow FROM i.expiry) WHEN 5 THEN 3 WHEN 6 THEN 2 ELSE 1 END) AS after
    FROM instruments i
    WHERE i.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT')
      AND i.expiry BETWEEN %(from_date)s::date - 14 AND %(to_date)s::date
), known AS (
    SELECT 'IB' COLLATE "C" AS broker, account_id, max(to_date) AS last FROM load_coverage
    WHERE broker = 'IB' AND data_type = 'ib_flex' GROUP BY account_id
    UNION ALL
    SELECT 'FUTU', account_id, max(business_date) FROM positions_raw_futu GROUP BY account_id
), asked AS (
    SELECT DISTINCT k.broker, k.account_id, o.symbol, o.after, own.id
    FROM expired o
    JOIN known k ON k.last >= o.after
    CROSS JOIN LATERAL unnest(ARRAY[o.symbol, CASE k.broker WHEN 'IB' THEN o.ib_conid ELSE o.futu_code END]) AS own (id)
    WHERE o.after BETWEEN %(from_date)s::date AND %(to_date)s::date AND own.id IS NOT NULL
)
SELECT a.broker, a.account_id, a.after AS business_date, count(DISTINCT a.symbol) AS subjects
FROM asked a JOIN position_movements m ON m.account_id = a.account_id AND m.instrument_id = a.id
WHERE m.broker = a.broker AND m.business_date <= a.after
GROUP BY 1, 2, 3
