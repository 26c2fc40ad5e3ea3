-- B04. No order of which something was filled, or whose status is FILLED, is without an effective trade; that it was
-- cancelled after a part of it was filled changes nothing. The quantity is B01's matter, which names the missing trade.
-- Not compared, as in B01: orders of Futu whose days, from the first to the last change, were not all loaded with their
-- deals (a paper account has none; where no load is written down everything is there), and orders whose fills were all
-- taken back.
WITH loaded AS (
    SELECT account_id, (SELECT range_agg(daterange(c.from_date, c.to_date, '[]')) FROM load_coverage c
                        WHERE c.broker = 'FUTU' AND c.data_type = 'futu_deals' AND c.account_id = l.account_id) AS dealt
    FROM (SELECT DISTINCT account_id FROM loads WHERE broker = 'FUTU' AND data_type = 'futu_orders') AS l
), without AS MATERIALIZED (
    SELECT o.order_uid FROM orders_norm o
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND (o.filled_qty > 0 OR o.status = 'FILLED')
      AND o.broker_status IS DISTINCT FROM 'FILL_CANCELLED'
      AND NOT EXISTS (SELECT FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective)
), bare AS MATERIALIZED (
    SELECT o.* FROM without JOIN orders_norm o USING (order_uid)
)
SELECT b.broker, b.account_id, b.order_uid AS subject, b.trade_date AS business_date,
       coalesce(nullif(b.filled_qty, 0), b.qty) AS expected, 0::numeric AS actual, 'ERROR' AS severity,
       CASE WHEN raw.quarantined THEN 'REFERENCE_DATA' WHEN raw.unread IS NOT NULL THEN 'PIPELINE'
            WHEN taken.uids IS NOT NULL THEN 'CORRECTION'
            -- deals of a combination that came without its number
            WHEN b.legs IS NOT NULL AND EXISTS (
                SELECT FROM trades_norm t LEFT JOIN orders_norm o ON o.order_uid = t.order_uid
                WHERE t.trade_date BETWEEN b.trade_date AND changed.on_date AND t.account_id = b.account_id
                  AND t.broker = b.broker AND t.kind = 'TRADE' AND (t.order_uid IS NULL OR o.source = 'futu_deals')
                  AND t.symbol IN (SELECT leg.symbol FROM jsonb_to_recordset(b.legs) AS leg (symbol text))
            ) THEN 'REFERENCE_DATA'
            WHEN b.filled_qty > 0 THEN 'MISSING_B' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', b.order_uid, 'symbol', b.symbol, 'side', b.side, 'status', coalesce(b.broker_status, b.status),
           'qty', b.qty::text, 'filled_qty', b.filled_qty::text, 'average_price', b.avg_price::text,
           'told_but_not_in_the_ledger', raw.unread, 'taken_back', taken.uids,
           'rows', jsonb_path_query_array(
               jsonb_build_array(b.order_uid) || coalesce(taken.uids, '[]') || coalesce(raw.names, '[]'), '$[0 to 19]')
       )) AS evidence
FROM bare b
LEFT JOIN loaded ON loaded.account_id = b.account_id AND b.broker = 'FUTU'
CROSS JOIN LATERAL (
    SELECT greatest(b.trade_date, (b.updated_at AT TIME ZONE
                    CASE b.market WHEN 'US' THEN 'America/New_York' ELSE 'Asia/Hong_Kong' END)::date) AS on_date
) AS changed
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(jsonb_agg(r.record_key ORDER BY r.record_key), '$[0 to 14]') AS unread,
           jsonb_path_query_array(jsonb_agg('trades_raw_' || lower(r.broker) || '/' || r.account_id || '/' || r.record_key
                                            ORDER BY r.record_key), '$[0 to 14]') AS names,
           bool_or(EXISTS (
               SELECT FROM quarantine q WHERE q.broker = r.broker AND q.kind = 'trades' AND q.account_id = r.account_id
                  AND q.broker_key = r.record_key AND q.resolved_at IS NULL)) AS quarantined
    FROM raw_records r
    LEFT JOIN trades_norm t
           ON t.broker = r.broker AND t.account_id = r.account_id AND t.broker_trade_id = r.record_key
    WHERE r.kind = 'trades' AND r.broker = b.broker AND r.account_id = b.account_id AND r.order_id = b.broker_order_id
      AND t.trade_uid IS NULL
) AS raw
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(jsonb_agg(t.trade_uid ORDER BY t.trade_uid), '$[0 to 14]') AS uids
    FROM trades_norm t WHERE t.order_uid = b.order_uid
) AS taken
WHERE loaded.account_id IS NULL OR loaded.dealt @> daterange(b.trade_date, changed.on_date, '[]')
ORDER BY 3
