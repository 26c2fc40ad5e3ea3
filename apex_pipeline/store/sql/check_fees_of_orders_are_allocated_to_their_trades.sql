-- B07. A fee that its broker charged for a whole order is split over the order's effective trades without a rest: what
-- they bear of it sums to it exactly. A fee of an order without trades here is borne by none (B01 speaks); IB's taxes and
-- the fees of cancelled executions belong whole to one trade.
-- And an order is charged once. Rows are too many where the record of the fee tells fewer of the same name and amount (of
-- IB: where an execution has two equal parts, or its taxes exceed what was told), and where the record itself tells every
-- part the same number of times, as if for each leg or deal, although it tells the parts of the account's other orders of
-- several trades once: three of four are asked for. Futu charges each day of an order, so orders of several days are not.
-- What would set it right: without the rows that are too many; a fee that only one trade bears, or can bear, whole there.
-- The sums are compared by order first, which is cheap, and fee by fee where they differ.
WITH charged AS (
    SELECT order_uid, sum(amount) AS amount FROM fees_norm
    WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND broker = 'FUTU' AND order_uid IS NOT NULL GROUP BY 1
), borne AS (
    SELECT t.order_uid, coalesce(sum(a.amount), 0) AS amount
    FROM charged c JOIN trades_norm t USING (order_uid) LEFT JOIN fee_allocations a USING (trade_uid)
    WHERE t.effective GROUP BY 1
), suspect AS MATERIALIZED (
    SELECT order_uid FROM charged c JOIN borne b USING (order_uid) WHERE c.amount <> b.amount
), apart AS MATERIALIZED (
    SELECT f.fee_uid, b.amount AS borne
    FROM suspect s
    CROSS JOIN LATERAL (SELECT * FROM fees_norm f WHERE f.order_uid = s.order_uid OFFSET 0) AS f
    CROSS JOIN LATERAL (
        -- a trade that is not there is another finding; one of another order, or that does not count, bears nothing
        SELECT coalesce(sum(a.amount) FILTER (
                   WHERE t.trade_uid IS NULL OR (t.effective AND t.order_uid = s.order_uid)), 0) AS amount
        FROM fee_allocations a LEFT JOIN trades_norm t USING (trade_uid) WHERE a.fee_uid = f.fee_uid
    ) AS b
    WHERE f.amount <> b.amount
    UNION ALL
    SELECT f.fee_uid, coalesce(b.amount, 0)
    FROM fees_norm f
    LEFT JOIN trades_norm own ON own.trade_uid = f.trade_uid
    CROSS JOIN LATERAL (SELECT sum(a.amount) AS amount FROM fee_allocations a WHERE a.fee_uid = f.fee_uid) AS b
    WHERE f.charged_on BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB'
      AND (f.trade_uid IS NULL OR NOT own.effective) AND f.amount <> coalesce(b.amount, 0)
      AND (b.amount IS NOT NULL OR (f.trade_uid IS NULL AND EXISTS (
           SELECT FROM trades_norm t WHERE t.order_uid = f.order_uid
              AND starts_with(f.fee_uid, concat('IB_', t.account_id, '_', t.broker_trade_id, '_')))))
), same AS MATERIALIZED (
    SELECT DISTINCT f.broker, f.account_id, f.order_uid FROM fees_norm f
    JOIN fees_norm g ON g.order_uid = f.order_uid AND g.broker_fee_name = f.broker_fee_name AND g.amount = f.amount
     AND g.fee_type = f.fee_type AND g.fee_uid > f.fee_uid AND g.trade_uid IS NULL
    WHERE f.charged_on BETWEEN %(from_date)s AND %(to_date)s AND f.trade_uid IS NULL
), futu AS MATERIALIZED (
    SELECT f.fee_uid, f.order_uid, f.account_id, f.nth, f.times, CASE
               WHEN r.record_key IS NULL OR f.fee_type = 'UNALLOCATED' THEN 1
               ELSE greatest(1, (
                   SELECT count(*) FROM jsonb_to_recordset(r.payload -> 'feeList') AS p (title text, value numeric)
                   WHERE p.title = f.broker_fee_name AND p.value = f.amount)) END AS told
    FROM (
        SELECT f.*, row_number() OVER (one ORDER BY length(f.fee_uid), f.fee_uid) AS nth, count(*) OVER one AS times
        FROM same s JOIN fees_norm f USING (order_uid) WHERE s.broker = 'FUTU'
        WINDOW one AS (PARTITION BY f.order_uid, f.broker_fee_name, f.fee_type, f.amount)
    ) AS f
    LEFT JOIN fees_raw_futu r ON r.account_id = f.account_id AND r.record_key = substr(f.order_uid, length(f.account_id) + 7)
     AND jsonb_typeof(r.payload -> 'feeList') = 'array'
), repeated AS MATERIALIZED (
    SELECT account_id, order_uid FROM futu
    GROUP BY 1, 2
    HAVING min(times) = max(times) AND min(told) = max(told) AND min(told) = min(times)
       AND 1 >= (SELECT count(DISTINCT t.trade_date) FROM trades_norm t WHERE t.order_uid = futu.order_uid AND t.effective)
), once AS MATERIALIZED (
    SELECT account_id FROM (
        SELECT f.account_id, count(*) = count(DISTINCT (f.broker_fee_name, f.amount)) AS plain
        FROM fees_norm f
        WHERE f.account_id IN (SELECT account_id FROM repeated) AND f.broker = 'FUTU'
          AND 1 < (SELECT count(*) FROM trades_norm t WHERE t.order_uid = f.order_uid AND t.effective)
        GROUP BY f.account_id, f.order_uid
    ) AS orders
    GROUP BY 1 HAVING count(*) * 3 <= 4 * count(*) FILTER (WHERE plain)
), taxes AS MATERIALIZED (
    SELECT f.fee_uid, f.amount, f.nth, f.total, r.record_key IS NOT NULL AS is_told,
           bool_or(r.record_key IS NOT NULL) OVER alike AS one_is,
           CASE WHEN btrim(r.payload ->> 'taxes') ~ '^-?[0-9]+([.][0-9]+)?$'
                THEN -(r.payload ->> 'taxes')::numeric END AS told
    FROM (
        SELECT f.*, k.key, sum(f.amount) OVER (PARTITION BY f.order_uid, k.key) AS total,
               row_number() OVER (PARTITION BY f.order_uid, k.key, f.broker_fee_name, f.fee_type, f.amount
                                  ORDER BY length(f.fee_uid), f.fee_uid) AS nth
        FROM same s JOIN fees_norm f USING (order_uid)
        CROSS JOIN LATERAL (SELECT split_part(substr(f.fee_uid, length(f.account_id) + 5), '_', 1) AS key) AS k
        WHERE s.broker = 'IB' AND f.trade_uid IS NULL
    ) AS f
    LEFT JOIN fees_raw_ib r ON r.account_id = f.account_id AND r.record_key = f.key
    WINDOW alike AS (PARTITION BY f.order_uid, f.broker_fee_name, f.fee_type, f.amount)
), extra AS MATERIALIZED (
    SELECT fee_uid FROM futu WHERE nth > told
    UNION
    SELECT f.fee_uid FROM futu f JOIN repeated r USING (order_uid)
    WHERE f.nth > 1 AND r.account_id IN (SELECT account_id FROM once)
    UNION
    SELECT fee_uid FROM taxes WHERE (nth > 1 AND total - told >= amount * (nth - 1)) OR (one_is AND NOT is_told)
    UNION
    SELECT f.fee_uid FROM fees_norm f
    WHERE f.charged_on BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.trade_uid IS NOT NULL
      AND EXISTS (SELECT FROM fees_norm g WHERE g.trade_uid = f.trade_uid AND g.fee_type = f.fee_type
                  AND g.broker_fee_name = f.broker_fee_name AND g.amount = f.amount
                  AND (length(g.fee_uid), g.fee_uid) < (length(f.fee_uid), f.fee_uid))
), wrong AS (
    SELECT f.broker, f.account_id, coalesce(f.order_uid, f.trade_uid, f.fee_uid) AS subject, f.charged_on, f.currency,
           f.order_uid, bool_or(e.fee_uid IS NOT NULL) AS doubled,
           coalesce(sum(f.amount) FILTER (WHERE e.fee_uid IS NOT NULL), 0) AS too_much,
           sum(f.amount) FILTER (WHERE e.fee_uid IS NULL) AS amount,
           sum(a.borne) FILTER (WHERE e.fee_uid IS NULL) AS borne,
           array_agg(f.fee_uid ORDER BY f.fee_uid) FILTER (WHERE e.fee_uid IS NOT NULL) AS extra,
           array_agg(f.fee_uid ORDER BY f.fee_uid) AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'fee_uid', f.fee_uid, 'name', f.broker_fee_name, 'amount', f.amount::text, 'borne', a.borne::text,
               'too_many', e.fee_uid IS NOT NULL) ORDER BY f.fee_uid), '$[0 to 19]') AS fees
    FROM (SELECT fee_uid FROM apart UNION SELECT fee_uid FROM extra) AS hit
    JOIN fees_norm f USING (fee_uid) LEFT JOIN apart a USING (fee_uid) LEFT JOIN extra e USING (fee_uid)
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT w.broker, w.account_id,
       CASE WHEN count(*) OVER (PARTITION BY w.subject, w.charged_on) > 1 THEN concat(w.subject, ' ', w.currency)
            ELSE w.subject END AS subject,
       w.charged_on AS business_date, CASE WHEN w.doubled THEN whole.amount - w.too_much ELSE w.amount END AS expected,
       CASE WHEN w.doubled THEN whole.amount ELSE w.borne END AS actual, 'ERROR' AS severity,
       CASE WHEN w.doubled THEN 'DUPLICATE' ELSE 'PIPELINE' END AS cause, w.currency,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', w.order_uid, 'fees', w.fees, 'charged', whole.amount::text, 'too_much', nullif(w.too_much, 0)::text,
           'trades', bearers.trades, 'rows', jsonb_path_query_array(
               to_jsonb(coalesce(w.extra, w.uids)) || coalesce(bearers.uids, '[]'), '$[0 to 19]'),
           'set_right', CASE WHEN w.doubled THEN without.rows ELSE whole_again.rows END)) AS evidence
FROM wrong w
CROSS JOIN LATERAL (
    SELECT coalesce(sum(f.amount), w.too_much + coalesce(w.amount, 0)) AS amount FROM fees_norm f
    WHERE f.order_uid = w.order_uid AND f.charged_on = w.charged_on AND f.currency IS NOT DISTINCT FROM w.currency
) AS whole
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(jsonb_agg(t.trade_uid ORDER BY t.trade_uid), '$[0 to 9]') AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'trade_uid', t.trade_uid, 'symbol', t.symbol, 'amount', t.amount::text, 'counts', t.effective)
               ORDER BY t.trade_uid), '$[0 to 9]') AS trades
    FROM trades_norm t WHERE t.order_uid = w.order_uid
) AS bearers
CROSS JOIN LATERAL (
    SELECT jsonb_agg(change ORDER BY change ->> 'table' DESC, change ->> 'key') AS rows
    FROM (
        SELECT jsonb_build_object('do', 'delete', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', one)) AS change
        FROM unnest(w.extra) AS one
        UNION ALL
        SELECT jsonb_build_object('do', 'delete', 'table', 'fee_allocations',
                                  'key', jsonb_build_object('fee_uid', a.fee_uid, 'trade_uid', a.trade_uid))
        FROM fee_allocations a WHERE a.fee_uid = ANY (w.extra)
    ) AS changes
) AS without
LEFT JOIN LATERAL (
    SELECT CASE WHEN bool_and(coalesce(b.n, 0) = 1 OR (b.n IS NULL AND t.n = 1)) THEN jsonb_agg(
               CASE WHEN b.n = 1 THEN jsonb_build_object(
                   'do', 'update', 'table', 'fee_allocations',
                   'key', jsonb_build_object('fee_uid', f.fee_uid, 'trade_uid', b.trade_uid),
                   'row', jsonb_build_object('amount', f.amount::text))
               ELSE jsonb_build_object('do', 'insert', 'table', 'fee_allocations', 'row', jsonb_build_object(
                   'fee_uid', f.fee_uid, 'trade_uid', t.trade_uid, 'broker', f.broker, 'account_id', f.account_id,
                   'amount', f.amount::text)) END ORDER BY f.fee_uid) END AS rows
    FROM fees_norm f
    LEFT JOIN LATERAL (
        SELECT count(*) AS n, min(a.trade_uid) AS trade_uid FROM fee_allocations a WHERE a.fee_uid = f.fee_uid
        HAVING count(*) > 0
    ) AS b ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, min(x.trade_uid) AS trade_uid FROM trades_norm x
        WHERE x.order_uid = f.order_uid AND x.effective
    ) AS t
    WHERE f.fee_uid = ANY (w.uids)
) AS whole_again ON NOT w.doubled
ORDER BY 3
