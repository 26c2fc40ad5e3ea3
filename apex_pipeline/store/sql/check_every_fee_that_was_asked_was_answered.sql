-- A07. Futu answers the fee of every order it is asked for, but for orders before 2018, which are never told, and for
-- young ones: a question counts from the second weekday after the order was last filled, so a fee that was still
-- pending when it was asked for is not missing here (the check of fees tells when nobody asked again). Only orders with
-- fills have a fee, and one of zero or one that is still pending ("N/A") is an answer. Accounts that Futu tells no fees
-- of (paper, Canada) refuse the question, which leaves no request behind.
-- Where the newest answer told as many fees as it was asked for, the missing one was told and is not stored: that is
-- ours. A request may hold 400 ids at most; Futu tells nothing of what is beyond them.
DROP TABLE IF EXISTS order_without_fee;
CREATE TEMPORARY TABLE order_without_fee (
    asked_as text COLLATE "C", account_id text COLLATE "C", order_uid text COLLATE "C", symbol text COLLATE "C",
    filled_qty numeric, trade_date date, filled_on date
) ON COMMIT DROP;

-- A table of its own, because the plan depends on how many there are: none on most days, all of them where Futu failed.
INSERT INTO order_without_fee
SELECT o.account_id || '/' || o.broker_order_id, o.account_id, o.order_uid, o.symbol, o.filled_qty, o.trade_date,
       coalesce((SELECT max(t.trade_date) FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective), o.trade_date)
FROM orders_norm o
WHERE o.broker = 'FUTU' AND o.trade_date BETWEEN greatest(%(from_date)s, date '2018-01-01') AND %(to_date)s
  AND o.filled_qty > 0
  AND NOT EXISTS (SELECT FROM fees_raw_futu f WHERE f.account_id = o.account_id AND f.record_key = o.broker_order_id);
ANALYZE order_without_fee;

WITH requests AS MATERIALIZED (
    SELECT o.observation_id, o.load_id, o.received_at, o.request #>> '{c2s,header,accID}' AS account_id,
           o.request #> '{c2s,orderIdExList}' AS ids
    FROM raw_observations o
    WHERE o.interface = 'Trd_GetOrderFee' AND jsonb_typeof(o.request #> '{c2s,orderIdExList}') = 'array'
), asked AS MATERIALIZED (
    SELECT r.observation_id, r.received_at, r.account_id || '/' || asked.order_id AS asked_as
    FROM requests r CROSS JOIN LATERAL jsonb_array_elements_text(r.ids) AS asked (order_id)
), unanswered AS (
    SELECT o.*, a.observation_id, row_number() OVER newest AS n, count(*) OVER one AS times
    FROM order_without_fee o JOIN asked a USING (asked_as)
    WHERE 2 <= (SELECT count(*)
                FROM generate_series(o.filled_on + 1, (a.received_at AT TIME ZONE 'UTC')::date, interval '1 day') AS day
                WHERE extract(isodow FROM day) < 6)
    WINDOW one AS (PARTITION BY o.order_uid),
           newest AS (PARTITION BY o.order_uid ORDER BY a.received_at DESC, a.observation_id)
), answers AS (
    SELECT r.observation_id, r.load_id, r.received_at, l.records AS told, jsonb_array_length(r.ids) AS ids, l.to_date
    FROM requests r JOIN loads l USING (load_id)
), too_large AS (
    SELECT r.account_id, w.observation_id, w.load_id, w.received_at, w.ids,
           coalesce((SELECT max(o.trade_date)
                     FROM jsonb_array_elements_text(r.ids) AS asked (order_id)
                     JOIN orders_norm o ON o.order_uid = 'FUTU_' || r.account_id || '_' || asked.order_id),
                    w.to_date) AS business_date
    FROM requests r JOIN answers w USING (observation_id)
    WHERE w.ids > 400
)
SELECT 'FUTU' AS broker, u.account_id, u.order_uid AS subject, u.trade_date AS business_date, 1::numeric AS expected,
       0::numeric AS actual, 'ERROR' AS severity, CASE WHEN w.told >= w.ids THEN 'PIPELINE' ELSE 'MISSING_A' END AS cause,
       jsonb_build_object(
           'order_uid', u.order_uid, 'symbol', u.symbol, 'filled_qty', u.filled_qty::text, 'filled_on', u.filled_on,
           'times_asked', u.times, 'last_asked_at', w.received_at, 'load_id', w.load_id,
           'answer', w.told || ' of ' || w.ids || ' fees',
           'rows', jsonb_build_array(u.order_uid) || coalesce((
               SELECT jsonb_agg(few.trade_uid)
               FROM (SELECT t.trade_uid FROM trades_norm t WHERE t.order_uid = u.order_uid ORDER BY 1 LIMIT 19) AS few), '[]')
       ) AS evidence
FROM unanswered u JOIN answers w USING (observation_id) WHERE u.n = 1
UNION ALL
SELECT 'FUTU', t.account_id, t.account_id || ' request ' || t.observation_id, t.business_date, 400, t.ids, 'ERROR', 'PIPELINE',
       jsonb_build_object('asked_at', t.received_at, 'load_id', t.load_id, 'ids', t.ids, 'most', 400, 'rows', '[]'::jsonb)
FROM too_large t WHERE t.business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 4, 3
