-- A03. Every calendar day from an account's first asked day to its newest is covered for orders and for deals, every
-- weekday between the first and the newest loaded booking of cash for the cash flow (days without a row included), and
-- the fee of every order with fills was asked for. No tolerance: a day was asked or it was not.
-- A run of missing days is one finding on its first day, whatever was not asked then. Markets are compared as they were
-- loaded: a load of all markets covers each of them.
-- Not missing: deals of an account that never had any (paper), cash that was never loaded, and days that a load asked
-- for beyond those that a person wanted (older orders of deals, later deals of orders) with the days between them. A
-- load that was stored without its days counts as wanting them, unless the broker said that it does not offer them,
-- which is a note. Fees: orders since 2018 of accounts whose fees were ever told, two weekdays after their last change:
-- until then the load that saw the fill may have been interrupted before its fees, and the next one asks.
DROP TABLE IF EXISTS fee_not_told;
CREATE TEMPORARY TABLE fee_not_told (
    asked_as text COLLATE "C", account_id text COLLATE "C", order_uid text COLLATE "C", trade_date date, changed_on date
) ON COMMIT DROP;

-- A table of its own, because the plan depends on how many there are: none on most days, all of them where Futu failed.
INSERT INTO fee_not_told
SELECT o.account_id || '/' || o.broker_order_id, o.account_id, o.order_uid, o.trade_date,
       greatest(o.trade_date, (o.updated_at AT TIME ZONE 'UTC')::date)
FROM orders_norm o
WHERE o.broker = 'FUTU' AND o.trade_date BETWEEN greatest(%(from_date)s, date '2018-01-01') AND %(to_date)s
  AND o.filled_qty > 0
  -- as the record of the broker says, by which fees are asked for
  AND (EXISTS (SELECT FROM trades_raw_futu t WHERE t.account_id = o.account_id AND t.order_id = o.broker_order_id)
       OR EXISTS (SELECT FROM orders_raw_futu r WHERE r.account_id = o.account_id AND r.record_key = o.broker_order_id
                  AND r.payload ->> 'fillQty' NOT IN ('0', '0.0')))
  AND o.account_id IN (SELECT account_id FROM load_coverage WHERE broker = 'FUTU' AND data_type = 'futu_fees')
  AND NOT EXISTS (SELECT FROM fees_raw_futu f WHERE f.account_id = o.account_id AND f.record_key = o.broker_order_id);
ANALYZE fee_not_told;

WITH spans AS (
    SELECT c.account_id, c.data_type, c.market, c.from_date, c.to_date, r.from_date AS wanted_from, r.to_date AS wanted_to
    FROM load_coverage c JOIN loads l USING (load_id) JOIN load_runs r USING (run_id)
    WHERE c.broker = 'FUTU' AND c.data_type IN ('futu_orders', 'futu_deals', 'futu_cash')
    UNION ALL
    SELECT l.account_id, l.data_type, l.market, l.from_date, l.to_date, r.from_date, r.to_date
    FROM loads l JOIN load_runs r USING (run_id)
    WHERE l.broker = 'FUTU' AND l.data_type IN ('futu_orders', 'futu_deals', 'futu_cash') AND l.status = 'COMPLETE'
      AND l.account_id IS NOT NULL AND (l.records > 0 OR l.notes = '{}')
), series AS (
    SELECT account_id, data_type, market, data_type = 'futu_cash' AS is_cash,
           min(greatest(from_date, wanted_from)) AS first_day, max(least(to_date, wanted_to)) AS last_day
    FROM spans WHERE from_date <= wanted_to AND to_date >= wanted_from
    GROUP BY 1, 2, 3
), expected AS (
    -- Orders and deals reach equally far: whoever asked for the ones asked for the others.
    SELECT account_id, data_type, market, is_cash, first_day,
           max(last_day) OVER (PARTITION BY account_id, market, is_cash) AS last_day
    FROM series
), covered AS (
    SELECT e.account_id, e.data_type, e.market, range_agg(daterange(c.from_date, c.to_date, '[]')) AS days
    FROM expected e
    JOIN load_coverage c ON c.broker = 'FUTU' AND c.account_id = e.account_id AND c.data_type = e.data_type
                        AND (c.market = e.market OR 'ALL' IN (c.market, e.market))
    GROUP BY 1, 2, 3
), holes AS (
    SELECT e.account_id, e.data_type, e.market, e.is_cash,
           unnest(datemultirange(daterange(e.first_day, e.last_day, '[]')) - coalesce(c.days, '{}')) AS hole
    FROM expected e LEFT JOIN covered c USING (account_id, data_type, market)
), missing AS (
    SELECT h.account_id, h.market, h.data_type, min(day)::date AS first_day, max(day)::date AS last_day, count(*) AS days
    FROM holes h CROSS JOIN LATERAL generate_series(lower(h.hole), upper(h.hole) - 1, interval '1 day') AS day
    WHERE NOT h.is_cash OR extract(isodow FROM day) < 6
    GROUP BY h.account_id, h.market, h.data_type, h.hole
), runs AS (
    SELECT account_id, market, first_day, max(last_day) AS last_day, max(days) AS days,
           jsonb_object_agg(data_type, first_day || '..' || last_day) AS data_types, array_agg(data_type) AS names
    FROM missing WHERE first_day BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2, 3
), asked AS MATERIALIZED (
    SELECT (o.request #>> '{c2s,header,accID}') || '/' || ids.order_id AS asked_as
    FROM raw_observations o
    CROSS JOIN LATERAL jsonb_array_elements_text(
        CASE jsonb_typeof(o.request #> '{c2s,orderIdExList}') WHEN 'array' THEN o.request #> '{c2s,orderIdExList}' END
    ) AS ids (order_id)
    WHERE o.interface = 'Trd_GetOrderFee' AND EXISTS (SELECT FROM fee_not_told)
), unasked AS (
    SELECT account_id, trade_date, count(*) AS orders, (array_agg(order_uid ORDER BY order_uid))[:20] AS order_uids
    FROM fee_not_told
    WHERE asked_as NOT IN (SELECT asked_as FROM asked WHERE asked_as IS NOT NULL)
      AND 2 <= (SELECT count(*)
                FROM generate_series(changed_on + 1, (now() AT TIME ZONE 'UTC')::date, interval '1 day') AS day
                WHERE extract(isodow FROM day) < 6)
    GROUP BY 1, 2
)
SELECT 'FUTU' AS broker, r.account_id,
       r.account_id || CASE r.market WHEN 'ALL' THEN ' ' WHEN '' THEN ' ' ELSE ' ' || r.market || ' ' END || r.first_day
           || CASE WHEN r.last_day > r.first_day THEN '..' || r.last_day ELSE '' END AS subject,
       r.first_day AS business_date, r.days::numeric AS expected, 0::numeric AS actual, 'ERROR' AS severity,
       'PIPELINE' AS cause,
       jsonb_build_object(
           'not_asked', r.data_types, 'market', r.market, 'days', r.days,
           'missing', jsonb_build_object('from', r.first_day, 'to', r.last_day),
           'failed', (SELECT jsonb_agg(near)
                      FROM (SELECT l.load_id, l.data_type, l.from_date, l.to_date, l.error FROM loads l
                            WHERE l.broker = 'FUTU' AND l.status = 'FAILED' AND l.account_id = r.account_id
                              AND l.data_type = ANY (r.names) AND l.from_date <= r.last_day AND l.to_date >= r.first_day
                            ORDER BY l.load_id DESC LIMIT 3) AS near),
           'rows', '[]'::jsonb) AS evidence
FROM runs r
UNION ALL
SELECT 'FUTU', u.account_id, u.account_id || ' futu_fees ' || u.trade_date, u.trade_date, u.orders, 0, 'ERROR', 'PIPELINE',
       jsonb_build_object('not_asked', jsonb_build_object('futu_fees', u.trade_date), 'orders', u.orders,
                          'rows', to_jsonb(u.order_uids))
FROM unasked u
ORDER BY 2, 4, 3
