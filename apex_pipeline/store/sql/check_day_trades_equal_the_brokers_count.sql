-- D15. How many day trades Futu counts in five sessions, and how many we do. Futu tells how many are left of three
-- (`pdtSeq`, of today and the next four sessions); none left means three or more. It counts filled orders of all
-- accounts of one firm, so its count may lie anywhere between our fewest by either way of counting and our most over
-- all accounts, and an order that waits to close counts already; outside trading hours the five sessions may end with
-- the next one. No other tolerance: it is a count.
-- Compared only under the old rule on day trades (`domain.regimes`: until 2026-06-03 unless a person said otherwise,
-- and never after 2027-10-19), where Futu tells a number (accounts that are marked, unlimited or not American have
-- none), and where all deals of the five sessions were loaded and read.
-- A difference is told on the day on which it appears or changes, and again after 31 days.
WITH told AS (
    SELECT DISTINCT ON (r.account_id, r.business_date) r.account_id, r.business_date, row ->> 'pdtSeq' AS words,
           substring(row ->> 'pdtSeq' FROM '\d+')::numeric AS days_left, coalesce(r.generated_at, r.fetched_at) AS as_of,
           coalesce(r.generated_at, r.fetched_at) AT TIME ZONE 'America/New_York' AS clock
    FROM balances_raw_futu r CROSS JOIN jsonb_array_elements(r.payload -> 'rows') AS row
    WHERE r.business_date BETWEEN %(from_date)s::date - 31 AND %(to_date)s AND jsonb_typeof(r.payload -> 'rows') = 'array'
      AND row ->> 'pdtSeq' ~ '^[^0-9-]*[0-3]([^0-9-]+[0-9])*[^0-9-]*$' AND coalesce(row ->> 'isPdt', 'false') = 'false'
      AND coalesce(row ->> 'dtStatus', '0') = '0'
    ORDER BY 1, 2, 3
), sessions AS MATERIALIZED (
    SELECT on_date, row_number() OVER (ORDER BY on_date) AS n FROM market_days WHERE calendar = 'XNYS' AND is_session
), counted_on AS (
    SELECT t.*, last.n AS last_n, first.on_date AS first_date, last.on_date AS last_date, next.on_date AS next_date,
           last.on_date < t.clock::date OR t.clock::time >= '16:00' AS may_be_next
    FROM told t
    JOIN LATERAL (
        SELECT s.n, s.on_date FROM sessions s WHERE s.on_date <= t.clock::date ORDER BY s.n DESC LIMIT 1
    ) AS last ON true
    JOIN sessions first ON first.n = last.n - 4
    JOIN sessions next ON next.n = last.n - 3
    LEFT JOIN LATERAL (
        SELECT r.value FROM account_rules r
        WHERE r.account_id = t.account_id AND r.rule = 'REGIME' AND r.from_date <= last.on_date
        ORDER BY r.from_date DESC LIMIT 1
    ) AS said ON true
    WHERE last.on_date < '2027-10-20' AND CASE WHEN said.value IS NULL THEN last.on_date < '2026-06-04'
                                               ELSE said.value = 'LEGACY_PDT' END
      AND NOT EXISTS (
          SELECT FROM sessions s
          WHERE s.n BETWEEN last.n - 4 AND last.n
            AND NOT EXISTS (SELECT FROM load_coverage c
                            WHERE c.broker = 'FUTU' AND c.account_id = t.account_id AND c.data_type = 'futu_deals'
                              AND s.on_date BETWEEN c.from_date AND c.to_date))
      AND NOT EXISTS (SELECT FROM quarantine q
                      WHERE q.broker = 'FUTU' AND q.kind IN ('trades', 'orders') AND q.account_id = t.account_id
                        AND q.resolved_at IS NULL AND q.business_date BETWEEN first.on_date AND last.on_date)
), counts AS (
    SELECT c.*, ours.own, ours.by_order,
           least(ours.own, ours.by_order, CASE WHEN c.may_be_next THEN ours.next_fewest END) AS fewest,
           ours.most + waiting.orders AS most, ours.names
    FROM counted_on c
    CROSS JOIN LATERAL (
        SELECT count(*) AS orders FROM orders_norm o
        WHERE o.broker = 'FUTU' AND o.trade_date = c.last_date AND o.symbol LIKE 'US.%%' AND o.created_at <= c.as_of
          AND NOT (o.status = 'FILLED' AND coalesce(o.updated_at <= c.as_of, true))
          AND c.last_date = c.clock::date
    ) AS waiting
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE is_own AND method = 'DIRECTION_CHANGE') AS own,
               count(*) FILTER (WHERE is_own AND method = 'ORDER_PAIR') AS by_order,
               least(count(*) FILTER (WHERE is_own AND method = 'DIRECTION_CHANGE' AND trade_date >= c.next_date),
                     count(*) FILTER (WHERE is_own AND method = 'ORDER_PAIR' AND trade_date >= c.next_date)) AS next_fewest,
               greatest(count(*) FILTER (WHERE method = 'DIRECTION_CHANGE'),
                        count(*) FILTER (WHERE method = 'ORDER_PAIR')) AS most,
               (array_agg(day_trade_uid ORDER BY trade_date DESC, day_trade_uid)
                   FILTER (WHERE is_own AND method = 'DIRECTION_CHANGE'))[:20] AS names
        FROM (SELECT d.day_trade_uid, d.trade_date, d.method, d.account_id = c.account_id AS is_own
              FROM day_trades d
              WHERE d.broker = 'FUTU' AND d.trade_date BETWEEN c.first_date AND c.last_date
                AND (d.trade_date < c.clock::date
                     OR EXISTS (SELECT FROM trades_norm t
                                WHERE t.trade_uid = d.close_trade_uid AND t.executed_at <= c.as_of))
        ) AS made
    ) AS ours
), compared AS (
    SELECT *, 3 - days_left AS expected,
           CASE WHEN days_left = 0 THEN least(most - 3, 0)
                WHEN 3 - days_left < fewest THEN fewest - (3 - days_left)
                WHEN 3 - days_left > most THEN most - (3 - days_left) ELSE 0 END AS difference
    FROM counts
), before AS (
    SELECT *, lag(difference) OVER one AS last_difference, lag(business_date) OVER one AS last_told
    FROM compared WINDOW one AS (PARTITION BY account_id ORDER BY business_date)
)
SELECT 'FUTU' AS broker, account_id, account_id AS subject, business_date, expected,
       -- The nearest of our counts.
       (expected + difference)::numeric AS actual, 'WARN' AS severity,
       -- The fills are compared elsewhere; what a day trade is, every broker decides for itself.
       'CONVENTION' AS cause,
       jsonb_build_object('pdtSeq', words, 'told_at', as_of, 'from_date', first_date, 'to_date', last_date,
                          'by_change_of_direction', own, 'by_pairs_of_orders', by_order, 'of_all_accounts', most,
                          'rows', to_jsonb(coalesce(names, '{}'))) AS evidence
FROM before
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND difference <> 0
  AND (last_told IS NULL OR last_told < business_date - 31 OR last_difference <> difference)
ORDER BY 2, 4
