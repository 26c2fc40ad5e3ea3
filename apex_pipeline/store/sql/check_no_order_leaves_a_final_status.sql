-- B14. What Futu told of an order for good it does not tell otherwise later: an order that was filled, cancelled, rejected
-- or deleted keeps this status, and no less of it is filled. The newest record of an order is compared with each earlier
-- one of a final status, so a finding ends when the broker says again what it said.
-- DISABLED is not final: such an order can be enabled again. An order that came to nothing may still be deleted from the
-- list, and fills may be taken back whatever was told of them before. A status that says nothing (N/A, TIMEOUT, numbers
-- that no rule knows) is not compared, nor are orders of IB, which have no history of their status.
WITH status (number, name, final, may_become) AS (VALUES
    ('0', 'UNSUBMITTED', false, '{}'::text[]), ('1', 'WAITING_SUBMIT', false, '{}'), ('2', 'SUBMITTING', false, '{}'),
    ('3', 'SUBMIT_FAILED', true, '{23}'), ('5', 'SUBMITTED', false, '{}'), ('10', 'FILLED_PART', false, '{}'),
    ('11', 'FILLED_ALL', true, '{24}'), ('12', 'CANCELLING_PART', false, '{}'), ('13', 'CANCELLING_ALL', false, '{}'),
    ('14', 'CANCELLED_PART', true, '{24}'), ('15', 'CANCELLED_ALL', true, '{23}'), ('21', 'FAILED', true, '{23}'),
    ('22', 'DISABLED', false, '{}'), ('23', 'DELETED', true, '{}'), ('24', 'FILL_CANCELLED', true, '{}')
), changed AS MATERIALIZED (
    SELECT DISTINCT ON (r.account_id, r.record_key) r.account_id, r.record_key, r.business_date, is_now.name AS now,
           was.name AS was, filled.now AS filled_now, filled.was AS filled_was
    FROM orders_raw_futu r
    JOIN status is_now ON is_now.number = r.payload ->> 'orderStatus'
    JOIN raw_versions v ON v.table_name = 'orders_raw_futu' AND v.account_id = r.account_id AND v.record_key = r.record_key
    JOIN status was ON was.number = v.payload ->> 'orderStatus' AND was.final
    CROSS JOIN LATERAL (
        SELECT CASE jsonb_typeof(r.payload -> 'fillQty') WHEN 'number' THEN (r.payload -> 'fillQty')::numeric END AS now,
               CASE jsonb_typeof(v.payload -> 'fillQty') WHEN 'number' THEN (v.payload -> 'fillQty')::numeric END AS was
    ) AS filled
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s
      AND is_now.number <> ALL (was.may_become) AND (is_now.number <> was.number OR filled.now < filled.was)
    ORDER BY r.account_id, r.record_key, v.version_id DESC
)
SELECT 'FUTU' AS broker, c.account_id, concat('FUTU_', c.account_id, '_', c.record_key) AS subject, c.business_date,
       c.filled_was AS expected, c.filled_now AS actual, 'WARN' AS severity, 'CORRECTION' AS cause,
       jsonb_build_object(
           'order_uid', concat('FUTU_', c.account_id, '_', c.record_key), 'was', c.was, 'is', c.now, 'history', history.told,
           'rows', jsonb_build_array(concat('FUTU_', c.account_id, '_', c.record_key),
                                     concat('orders_raw_futu/', c.account_id, '/', c.record_key))) AS evidence
FROM changed c
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'status', coalesce(s.name, t.status), 'filled_qty', t.filled, 'fetched_at', t.fetched_at)
               ORDER BY t.n NULLS LAST) AS told
    FROM (
        SELECT v.version_id AS n, v.fetched_at, v.payload ->> 'orderStatus' AS status, v.payload ->> 'fillQty' AS filled
        FROM raw_versions v
        WHERE v.table_name = 'orders_raw_futu' AND v.account_id = c.account_id AND v.record_key = c.record_key
        UNION ALL
        SELECT NULL, r.fetched_at, r.payload ->> 'orderStatus', r.payload ->> 'fillQty' FROM orders_raw_futu r
        WHERE r.account_id = c.account_id AND r.record_key = c.record_key
        ORDER BY n DESC NULLS FIRST LIMIT 20
    ) AS t
    LEFT JOIN status s ON s.number = t.status
) AS history
ORDER BY 3
