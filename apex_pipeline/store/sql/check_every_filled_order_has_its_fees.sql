-- B05. Every order of Futu of which something was filled has a fee record, and every execution of IB a commission. A fee
-- may come up to two business days after the last fill (days of the market's calendar where it is known, weekdays
-- otherwise); until then its absence is a warning. A fee of 0 is a record, absence is not.
-- Not compared: what is only provisional (it waits for its statement, which another check watches), orders whose fills
-- were all taken back, orders before 2018 and accounts (paper, Moomoo Canada) of which Futu tells no fees, and executions
-- of a query without the field, which A05 tells.
WITH untold AS (
    SELECT account_id FROM loads WHERE broker = 'FUTU'
    GROUP BY 1
    HAVING (bool_or(data_type = 'futu_orders') AND NOT bool_or(data_type = 'futu_deals'))
        OR bool_or(data_type = 'futu_fees' AND array_to_string(notes, ' ') LIKE '%%is not offered%%')
), without AS MATERIALIZED (
    SELECT o.order_uid FROM orders_norm o
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.broker = 'FUTU' AND o.filled_qty > 0
      AND o.trade_date >= '2018-01-01' AND o.broker_status IS DISTINCT FROM 'FILL_CANCELLED'
      AND o.account_id NOT IN (SELECT account_id FROM untold)
      AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.order_uid = o.order_uid)
), unpaid AS MATERIALIZED (
    SELECT t.trade_uid FROM trades_norm t
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.broker = 'IB' AND t.kind = 'TRADE' AND t.effective
      AND t.source NOT IN ('TWS', 'TCF')
      AND NOT EXISTS (SELECT FROM fees_norm f WHERE f.trade_uid = t.trade_uid)
), bare AS MATERIALIZED (
    SELECT o.broker, o.account_id, o.order_uid AS subject, o.order_uid, o.trade_date, o.market, o.symbol,
           o.filled_qty AS qty, 1::bigint AS expected, 0::bigint AS actual, ARRAY[o.broker_order_id] AS keys,
           NULL::text[] AS uids,
           coalesce((SELECT max(t.trade_date) FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective),
                    o.trade_date) AS filled_on
    FROM without JOIN orders_norm o USING (order_uid)
    UNION ALL
    SELECT min(t.broker), min(t.account_id), coalesce(t.order_uid, t.trade_uid), t.order_uid, min(t.trade_date),
           min(t.market), min(t.symbol), sum(t.qty), coalesce(min(all_of.executions), 1),
           coalesce(min(all_of.executions), 1) - count(*), array_agg(t.broker_trade_id ORDER BY t.trade_uid),
           array_agg(t.trade_uid ORDER BY t.trade_uid), max(t.trade_date)
    FROM unpaid JOIN trades_norm t USING (trade_uid)
    LEFT JOIN LATERAL (
        SELECT count(*) AS executions FROM trades_norm x
        WHERE x.order_uid = t.order_uid AND x.kind = 'TRADE' AND x.effective
    ) AS all_of ON t.order_uid IS NOT NULL
    WHERE NOT EXISTS (SELECT FROM query_gaps g WHERE g.account_id = t.account_id AND g.section = 'Trades'
                      AND g.field = 'ibCommission' AND g.business_date >= t.trade_date)
    GROUP BY coalesce(t.order_uid, t.trade_uid), t.order_uid
)
SELECT b.broker, b.account_id, b.subject, b.trade_date AS business_date, b.expected::numeric AS expected,
       b.actual::numeric AS actual,
       CASE WHEN age.young AND why.cause = 'FEE_PENDING' THEN 'WARN' ELSE 'ERROR' END AS severity, why.cause,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', b.order_uid, 'symbol', b.symbol, 'filled_qty', b.qty::text, 'filled_on', b.filled_on,
           'executions_without', jsonb_path_query_array(to_jsonb(b.uids), '$[0 to 9]'),
           'fee_record', raw.names, 'told', raw.charged,
           'rows', jsonb_path_query_array(
               jsonb_build_array(b.subject) || coalesce(to_jsonb(nullif(b.uids, ARRAY[b.subject])), '[]')
               || coalesce(raw.names, '[]'), '$[0 to 19]'))) AS evidence
FROM bare b
CROSS JOIN LATERAL (
    -- what was filled more than two weeks ago is old in every calendar
    SELECT b.filled_on > current_date - 14 AND CASE
        WHEN EXISTS (SELECT FROM market_days m WHERE m.calendar = c.calendar AND m.on_date = current_date) THEN (
            SELECT count(*) < 2 FROM market_days m
            WHERE m.calendar = c.calendar AND m.is_session AND m.on_date > b.filled_on AND m.on_date <= current_date)
        ELSE (SELECT count(*) < 2 FROM generate_series(b.filled_on + 1, current_date, interval '1 day') AS d
              WHERE extract(isodow FROM d) < 6) END AS young
    FROM (SELECT CASE b.market WHEN 'US' THEN 'XNYS' WHEN 'HK' THEN 'XHKG' END AS calendar) AS c
) AS age
CROSS JOIN LATERAL (
    SELECT jsonb_agg('fees_raw_' || lower(r.broker) || '/' || r.account_id || '/' || r.record_key) AS names,
           bool_or(r.broker = 'FUTU' AND r.payload -> 'feeAmount' IS NULL) AS pending,
           string_agg(nullif(btrim(r.payload ->> CASE r.broker WHEN 'FUTU' THEN 'feeAmount' ELSE 'ibCommission' END), ''),
                      ', ') AS charged,
           bool_or(EXISTS (
               SELECT FROM quarantine q WHERE q.broker = r.broker AND q.kind = 'fees' AND q.account_id = r.account_id
                  AND q.broker_key = r.record_key AND q.resolved_at IS NULL)) AS quarantined
    FROM raw_records r
    WHERE r.kind = 'fees' AND r.broker = b.broker AND r.account_id = b.account_id AND r.record_key = ANY (b.keys)
) AS raw
CROSS JOIN LATERAL (
    SELECT CASE WHEN raw.quarantined THEN 'REFERENCE_DATA' WHEN raw.charged IS NOT NULL THEN 'PIPELINE'
                WHEN age.young OR raw.pending THEN 'FEE_PENDING' ELSE 'MISSING_B' END AS cause
) AS why
ORDER BY 3
