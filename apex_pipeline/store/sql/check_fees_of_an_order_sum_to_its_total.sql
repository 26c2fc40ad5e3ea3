-- B06. The parts of a fee that Futu tells for an order sum to the total that it tells beside them, and so do our rows.
-- Parts and total are rounded to a cent each, so n parts may differ by n half cents; our rows are the parts as told and
-- what they leave of the total (UNALLOCATED), so they sum to it exactly. Where the told parts miss the total by more, it
-- is a finding although the rest is booked all the same; rows that are exactly the parts agree with one of both words.
-- A pending fee has no total; rows that are too many by being there twice are the matter of B07, and an order without
-- any row of B05.
-- What would set it right: our rows without the rest, as if the parts were right and the total were not (a part alone
-- changes no sum elsewhere); a row of ours as it was told, and without one that nobody told.
WITH charged AS (
    SELECT order_uid, account_id FROM fees_norm
    WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND broker = 'FUTU' AND order_uid IS NOT NULL GROUP BY 1, 2
), wrong AS MATERIALIZED (
    SELECT c.order_uid, r.account_id, r.record_key, r.payload, f.charged_on, t.total, p.total AS parts, p.n, f.ours,
           p.n > 0 AND abs(t.total - p.total) > p.n * 0.005 AS told_apart
    FROM charged c
    JOIN fees_raw_futu r ON r.account_id = c.account_id AND r.record_key = substr(c.order_uid, length(c.account_id) + 7)
    CROSS JOIN LATERAL (
        SELECT CASE jsonb_typeof(r.payload -> 'feeAmount') WHEN 'number' THEN (r.payload -> 'feeAmount')::numeric END AS total
    ) AS t
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (WHERE jsonb_typeof(part -> 'value') <> 'number') AS unread,
               coalesce(sum((part -> 'value')::numeric) FILTER (WHERE jsonb_typeof(part -> 'value') = 'number'), 0)
                   AS total
        FROM jsonb_array_elements(
            CASE jsonb_typeof(r.payload -> 'feeList') WHEN 'array' THEN r.payload -> 'feeList' END) AS part
    ) AS p
    CROSS JOIN LATERAL (
        SELECT sum(f.amount) AS ours, max(f.charged_on) AS charged_on FROM fees_norm f WHERE f.order_uid = c.order_uid
    ) AS f
    WHERE p.unread = 0 AND f.charged_on BETWEEN %(from_date)s AND %(to_date)s
      AND f.ours <> CASE WHEN p.n > 0 AND abs(t.total - p.total) > p.n * 0.005 THEN p.total ELSE t.total END
)
SELECT 'FUTU' AS broker, w.account_id, w.order_uid AS subject, w.charged_on AS business_date, w.total AS expected,
       CASE WHEN w.told_apart THEN w.parts ELSE w.ours END AS actual, 'ERROR' AS severity,
       CASE WHEN NOT w.told_apart THEN 'PIPELINE'
            WHEN told.often > 1 THEN 'DUPLICATE' END AS cause,
       ours.currency,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', w.order_uid, 'told_total', w.total::text, 'told_parts', w.payload -> 'feeList',
           'sum_of_parts', w.parts::text, 'tolerance', (w.n * 0.005)::text, 'our_rows', ours.fees, 'our_sum', w.ours::text,
           'rows', jsonb_path_query_array(jsonb_build_array(
               w.order_uid, concat('fees_raw_futu/', w.account_id, '/', w.record_key)) || ours.uids, '$[0 to 19]'),
           'set_right', CASE WHEN NOT w.told_apart THEN amended.rows WHEN told.often = 1 THEN rest.rows END)) AS evidence
FROM wrong w
CROSS JOIN LATERAL (
    -- how often the parts are told, where they are so many times the total
    SELECT CASE WHEN w.total > 0 AND w.parts = w.total * greatest(round(w.parts / w.total), 2)
                THEN round(w.parts / w.total) ELSE 1 END AS often
) AS told
CROSS JOIN LATERAL (
    SELECT min(f.currency) AS currency, jsonb_agg(f.fee_uid ORDER BY f.fee_uid) AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'fee_uid', f.fee_uid, 'name', f.broker_fee_name, 'amount', f.amount::text) ORDER BY f.fee_uid),
               '$[0 to 19]') AS fees,
           -- what is there more often than it was told
           coalesce(sum(f.amount) FILTER (WHERE f.nth > greatest(f.told, 1)), 0) AS twice
    FROM (
        SELECT f.*, row_number() OVER (PARTITION BY f.broker_fee_name, f.fee_type, f.amount
                                       ORDER BY length(f.fee_uid), f.fee_uid) AS nth,
               (SELECT count(*) FROM jsonb_to_recordset(w.payload -> 'feeList') AS p (title text, value numeric)
                WHERE w.n > 0 AND p.title = f.broker_fee_name AND p.value = f.amount) AS told
        FROM fees_norm f WHERE f.order_uid = w.order_uid
    ) AS f
) AS ours
LEFT JOIN LATERAL (
    SELECT jsonb_agg(change) AS rows
    FROM (
        SELECT jsonb_build_object('do', 'delete', 'table', 'fees_norm',
                                  'key', jsonb_build_object('fee_uid', f.fee_uid)) AS change
        FROM fees_norm f WHERE f.order_uid = w.order_uid AND f.fee_type = 'UNALLOCATED'
        UNION ALL
        SELECT jsonb_build_object('do', 'delete', 'table', 'fee_allocations',
                                  'key', jsonb_build_object('fee_uid', a.fee_uid, 'trade_uid', a.trade_uid))
        FROM fees_norm f JOIN fee_allocations a USING (fee_uid)
        WHERE f.order_uid = w.order_uid AND f.fee_type = 'UNALLOCATED'
    ) AS changes
) AS rest ON w.told_apart
LEFT JOIN LATERAL (
    -- a row whose amount nobody told: as the one part of its name, or gone where no part has its name
    SELECT jsonb_agg(CASE WHEN p.n = 1 THEN jsonb_build_object(
               'do', 'update', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', f.fee_uid),
               'row', jsonb_build_object('amount', p.value::text))
           ELSE jsonb_build_object('do', 'delete', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', f.fee_uid)) END
           ORDER BY f.fee_uid) AS rows
    FROM fees_norm f
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, min(p.value) AS value
        FROM jsonb_to_recordset(w.payload -> 'feeList') AS p (title text, value numeric)
        WHERE p.title = f.broker_fee_name
    ) AS p
    WHERE f.order_uid = w.order_uid AND f.fee_type <> 'UNALLOCATED'
      AND (p.n = 0 OR (p.n = 1 AND p.value <> f.amount
           AND 1 = (SELECT count(*) FROM fees_norm x
                    WHERE x.order_uid = w.order_uid AND x.broker_fee_name = f.broker_fee_name)))
) AS amended ON NOT w.told_apart AND w.n > 0
WHERE w.told_apart OR w.ours - ours.twice <> w.total
ORDER BY 3
