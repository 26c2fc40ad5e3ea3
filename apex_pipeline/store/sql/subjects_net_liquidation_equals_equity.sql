-- Equities by day: the sum of their lines, the cash where ours is known, the positions where ours are the same.
WITH equity AS (
    SELECT f.account_id, f.business_date, f.of_day,
           f.figures ?& ARRAY['cash', 'stock', 'options', 'bonds', 'funds', 'commodities', 'dividendAccruals',
                              'interestAccruals'] AND f.figures ?| ARRAY['notes', 'notesLong'] AS is_whole,
           f.figures ? 'cash' AND p.cash IS NOT NULL AS has_cash, p.positions_value IS NOT NULL AS has_positions,
           NOT EXISTS (SELECT FROM jsonb_each_text(f.figures) AS line
                       WHERE line.key ~ '^(bonds|notes)' AND line.value::numeric <> 0) AS has_no_bonds
    FROM (SELECT *, count(*) OVER (PARTITION BY account_id, business_date) AS of_day FROM broker_figures
          WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND section = 'EquitySummaryInBase' AND broker = 'IB'
            AND figures ? 'total') AS f
    LEFT JOIN performance_metrics p ON f.of_day = 1 AND p.account_id = f.account_id AND p.business_date = f.business_date
                                   AND p.period = 'DAY' AND p.scope = 'ACCOUNT' AND p.currency = coalesce(f.currency, p.currency)
), valued AS (
    SELECT account_id, business_date FROM equity WHERE is_whole AND has_positions AND has_no_bonds AND of_day = 1
), unlike AS (
    SELECT DISTINCT account_id, business_date FROM (
        SELECT d.account_id, d.business_date, d.instrument_id, d.qty FROM valued v
        JOIN positions_daily d ON d.account_id = v.account_id AND d.business_date = v.business_date
        WHERE d.asset_class NOT IN ('FX', 'COMBO')
        UNION ALL
        SELECT b.account_id, b.business_date, b.broker_position_id, -b.qty FROM valued v
        JOIN broker_positions b ON b.business_date = v.business_date AND b.broker = 'IB' AND b.account_id = v.account_id
        WHERE b.asset_class NOT IN ('FX', 'COMBO')
    ) AS side
    GROUP BY account_id, business_date, instrument_id HAVING abs(sum(qty)) > 1e-8
)
SELECT 'IB' AS broker, e.account_id, e.business_date,
       sum(e.is_whole::int + (e.has_cash AND e.of_day = 1)::int
           + (v.account_id IS NOT NULL AND u.account_id IS NULL)::int) AS subjects
FROM equity e LEFT JOIN valued v USING (account_id, business_date) LEFT JOIN unlike u USING (account_id, business_date)
GROUP BY 1, 2, 3 HAVING sum(e.is_whole::int + (e.has_cash AND e.of_day = 1)::int) > 0
