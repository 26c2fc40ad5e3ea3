-- B01. The filled quantity that an order tells is the sum of its effective trades. Quantities are exact: the tolerance
-- is 0. A combination is compared leg by leg (its filled quantity counts combinations), and an order is one finding
-- however many of its legs differ. A trade that goes the other way than its order counts against it; of a combination
-- only quantities are compared, because no source says whether the side of a leg is meant for buying the whole.
-- Not compared: orders that do not tell how much was filled, legs without a ratio, and orders of Futu whose days, from
-- the first to the last change, were not all loaded with their deals (a paper account has none; where no load is
-- written down everything is there), and an order whose fills were all taken back. A trade without any order is the
-- matter of B03.
-- What would set it right: the missing trade at the price that the order's average leaves for it, unless a trade of an
-- order that nobody told may be it (B03, B11); without the trade, or the part of one, that is too much; a deal in force
-- that was taken back without its order knowing; a trade that goes the wrong way or names another instrument as its
-- order has it. Where all legs of a combination are missing only their net price is known; it stands at a leg of the
-- order's own side.
-- First whole parts of the orders are compared: quantities times the digest of their order, symbol and side, which sum
-- to the same on both sides only where every order agrees. That needs no join and no memory. Then order by order, in
-- the parts that differ: something is wrong there, or a trade is of other days than its order or was meant otherwise.
WITH apart AS MATERIALIZED (
    SELECT digest & 1023 AS part
    FROM (
        SELECT hashtextextended(order_uid, 0) AS digest, symbol, side, filled_qty AS qty FROM orders_norm
        WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND filled_qty IS NOT NULL AND legs IS NULL
        UNION ALL
        SELECT hashtextextended(o.order_uid, 0), leg.symbol, leg.side, o.filled_qty * leg.ratio
        FROM orders_norm o
        CROSS JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, side text, ratio numeric)
        WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.filled_qty IS NOT NULL AND o.legs IS NOT NULL
        UNION ALL
        SELECT hashtextextended(order_uid, 0), symbol, side, -qty FROM trades_norm
        WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND effective AND order_uid IS NOT NULL
    ) AS quantity
    GROUP BY 1
    HAVING sum(qty * hashtextextended(symbol, CASE side WHEN 'SELL' THEN digest # 1 ELSE digest END)) <> 0
), suspect AS MATERIALIZED (
    SELECT o.order_uid, o.broker, o.symbol, o.side, o.filled_qty, o.legs
    FROM orders_norm o JOIN apart ON apart.part = hashtextextended(o.order_uid, 0) & 1023
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.filled_qty IS NOT NULL
), told AS (
    SELECT order_uid, symbol, filled_qty AS expected, 1::numeric AS ratio FROM suspect WHERE legs IS NULL
    UNION ALL
    SELECT o.order_uid, leg.symbol, o.filled_qty * sum(leg.ratio), sum(leg.ratio)
    FROM suspect o CROSS JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, ratio numeric)
    WHERE o.legs IS NOT NULL
    GROUP BY 1, 2, o.filled_qty
), made AS (
    SELECT t.order_uid, t.symbol,
           sum(CASE WHEN o.broker = 'FUTU' AND o.legs IS NULL AND t.side <> o.side THEN -t.qty ELSE t.qty END) AS actual
    FROM suspect o JOIN trades_norm t USING (order_uid)
    WHERE t.effective
    GROUP BY 1, 2
), leg AS MATERIALIZED (
    SELECT order_uid, symbol, t.ratio, coalesce(t.expected, 0) AS expected, coalesce(m.actual, 0) AS actual
    FROM told t FULL JOIN made m USING (order_uid, symbol)
    WHERE coalesce(t.expected, 0) <> coalesce(m.actual, 0)
), loaded AS (
    SELECT account_id, (SELECT range_agg(daterange(c.from_date, c.to_date, '[]')) FROM load_coverage c
                        WHERE c.broker = 'FUTU' AND c.data_type = 'futu_deals' AND c.account_id = l.account_id) AS dealt
    FROM (SELECT DISTINCT account_id FROM loads WHERE broker = 'FUTU' AND data_type = 'futu_orders') AS l
), broken AS MATERIALIZED (
    SELECT o.*, l.count, l.symbols, l.lacking, l.extra, l.expected, l.actual, l.least, l.most, l.wrong,
           changed.on_date AS changed_on
    FROM (
        SELECT order_uid, count(*), array_agg(symbol ORDER BY symbol) AS symbols, sum(expected) AS expected,
               sum(actual) AS actual, count(*) FILTER (WHERE actual < expected) AS lacking,
               count(*) FILTER (WHERE actual > expected) AS extra,
               trim_scale(min(actual / nullif(ratio, 0))) AS least,
               trim_scale(max(actual / nullif(ratio, 0))) AS most,
               jsonb_agg(jsonb_build_object('symbol', symbol, 'filled', expected::text, 'dealt', actual::text)
                         ORDER BY symbol) AS wrong
        FROM leg GROUP BY 1
    ) AS l
    JOIN orders_norm o USING (order_uid)
    LEFT JOIN loaded ON loaded.account_id = o.account_id AND o.broker = 'FUTU'
    CROSS JOIN LATERAL (
        SELECT greatest(o.trade_date, (o.updated_at AT TIME ZONE
                        CASE o.market WHEN 'US' THEN 'America/New_York' ELSE 'Asia/Hong_Kong' END)::date) AS on_date
    ) AS changed
    WHERE NOT EXISTS (SELECT FROM jsonb_to_recordset(o.legs) AS x (ratio numeric) WHERE x.ratio IS NULL)
      AND NOT (o.broker_status IS NOT DISTINCT FROM 'FILL_CANCELLED' AND l.actual = 0)
      AND (loaded.account_id IS NULL OR loaded.dealt @> daterange(o.trade_date, changed.on_date, '[]'))
)
SELECT b.broker, b.account_id, concat(b.order_uid, ' ', about.symbol) AS subject, b.trade_date AS business_date,
       CASE b.count WHEN 1 THEN b.expected ELSE b.filled_qty END AS expected,
       CASE WHEN b.count = 1 THEN b.actual WHEN b.lacking > 0 THEN b.least
            ELSE coalesce(b.most, b.filled_qty + b.actual) END AS actual,
       CASE WHEN why.cause = 'TIMING' AND known.young THEN 'WARN' ELSE 'ERROR' END AS severity, why.cause,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', b.order_uid, 'symbol', about.symbol, 'side', b.side,
           'status', coalesce(b.broker_status, b.status), 'filled_qty', b.filled_qty::text,
           'average_price', b.avg_price::text, 'wrong', b.wrong,
           'trade_uids', coalesce(known.uids, '[]'), 'trades', known.trades,
           'told_but_not_in_the_ledger', jsonb_path_query_array(raw.unread, '$[0 to 14]'),
           'told_otherwise', jsonb_path_query_array(raw.altered, '$[0 to 14]'),
           'rows', jsonb_path_query_array(
               jsonb_build_array(b.order_uid) || coalesce(known.uids, '[]') || coalesce(raw.names, '[]'), '$[0 to 19]'),
           'set_right', CASE WHEN why.cause = 'CORRECTION' THEN taken.rows
                             WHEN why.cause IN ('MISSING_A', 'DUPLICATE') THEN surplus.rows
                             WHEN b.lacking > 0 AND b.extra = 0 AND NOT known.turned
                             THEN missing.rows || coalesce(missing.fees, '[]')
                             WHEN known.turned THEN turned.rows ELSE swapped.rows END)) AS evidence
FROM broken b
CROSS JOIN LATERAL (SELECT CASE b.count WHEN 1 THEN b.symbols[1] ELSE b.symbol END AS symbol) AS about
CROSS JOIN LATERAL (
    SELECT jsonb_agg(t.trade_uid ORDER BY t.trade_uid) FILTER (WHERE n <= 15) AS uids,
           jsonb_agg(jsonb_build_object(
               'trade_uid', t.trade_uid, 'symbol', t.symbol, 'side', t.side, 'qty', t.qty::text, 'price', t.price::text,
               'kind', t.kind, 'counts', t.effective) ORDER BY t.trade_uid) FILTER (WHERE n <= 15) AS trades,
           coalesce(bool_or(t.effective AND b.broker = 'FUTU' AND b.legs IS NULL AND t.side <> b.side), false) AS turned,
           sum(t.qty) FILTER (WHERE t.effective AND t.side <> b.side) AS turned_qty,
           sum(t.qty) FILTER (WHERE NOT t.effective AND t.kind = 'CANCEL' AND t.symbol = ANY (b.symbols))
               AS taken_qty,
           count(*) FILTER (WHERE t.effective) AS effective, max(t.trade_date) AS last_on,
           coalesce(sum(t.qty * t.price) FILTER (WHERE t.effective), 0) AS paid,
           coalesce(sum(t.qty * t.price * t.multiplier * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END)
                    FILTER (WHERE t.effective), 0) AS paid_net,
           -- weekdays since: what differs only in time gets two of them
           (SELECT count(*) < 2 FROM generate_series(max(t.trade_date) + 1, current_date, interval '1 day') AS d
            WHERE extract(isodow FROM d) < 6) AS young
    FROM (SELECT *, row_number() OVER (ORDER BY trade_uid) AS n FROM trades_norm WHERE order_uid = b.order_uid) AS t
) AS known
CROSS JOIN LATERAL (
    SELECT jsonb_agg(r.record_key ORDER BY r.record_key) FILTER (WHERE t.trade_uid IS NULL) AS unread,
           jsonb_agg(t.trade_uid ORDER BY r.record_key) FILTER (WHERE abs(said.qty) <> t.qty) AS altered,
           jsonb_agg('trades_raw_' || lower(r.broker) || '/' || r.account_id || '/' || r.record_key)
               FILTER (WHERE t.trade_uid IS NULL) AS names,
           bool_or(t.trade_uid IS NULL AND EXISTS (
               SELECT FROM quarantine q WHERE q.broker = r.broker AND q.kind = 'trades' AND q.account_id = r.account_id
                  AND q.broker_key = r.record_key AND q.resolved_at IS NULL)) AS quarantined
    FROM raw_records r
    LEFT JOIN trades_norm t
           ON t.broker = r.broker AND t.account_id = r.account_id AND t.broker_trade_id = r.record_key
    CROSS JOIN LATERAL (
        SELECT CASE WHEN word ~ '^-?[0-9]+([.][0-9]+)?$' THEN word::numeric END AS qty
        FROM btrim(coalesce(r.payload ->> 'qty', r.payload ->> 'quantity')) AS word
    ) AS said
    WHERE r.kind = 'trades' AND r.broker = b.broker AND r.account_id = b.account_id AND r.order_id = b.broker_order_id
) AS raw
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN raw.quarantined THEN 'REFERENCE_DATA'
        WHEN raw.unread IS NOT NULL OR raw.altered IS NOT NULL THEN 'PIPELINE'
        WHEN known.turned THEN NULL
        WHEN b.broker = 'FUTU' AND b.lacking > 0 AND b.extra = 0 AND known.taken_qty = b.expected - b.actual
            THEN 'CORRECTION'
        WHEN b.lacking > 0 AND b.extra > 0 THEN 'REFERENCE_DATA'
        -- deals of a combination that came without its number
        WHEN b.lacking > 0 AND b.legs IS NOT NULL AND known.effective = 0 AND EXISTS (
            SELECT FROM trades_norm t LEFT JOIN orders_norm o ON o.order_uid = t.order_uid
            WHERE t.trade_date BETWEEN b.trade_date AND b.changed_on AND t.account_id = b.account_id
              AND t.broker = b.broker AND t.symbol = ANY (b.symbols) AND t.kind = 'TRADE'
              AND (t.order_uid IS NULL OR o.source = 'futu_deals')
        ) THEN 'REFERENCE_DATA'
        WHEN b.lacking > 0 THEN 'MISSING_B'
        WHEN b.status IN ('PENDING', 'OPEN', 'PARTIAL') THEN 'TIMING'
        WHEN EXISTS (
            SELECT FROM trades_norm t JOIN trades_norm u USING (order_uid, symbol, side, qty, price, executed_at)
            WHERE order_uid = b.order_uid AND t.trade_uid < u.trade_uid AND t.effective AND u.effective
              AND symbol = ANY (b.symbols) AND qty <= b.actual - b.expected
        ) THEN 'DUPLICATE'
        ELSE 'MISSING_A' END AS cause
) AS why
CROSS JOIN LATERAL (
    -- One row for each leg that lacks something; the money that is left for all is at the first of the order's side.
    SELECT CASE WHEN bool_and(price >= 0 AND side IS NOT NULL AND on_date IS NOT NULL AND of IS NOT NULL) THEN
               jsonb_agg(jsonb_build_object(
                   'do', 'insert', 'table', 'trades_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                       'trade_uid', concat(b.broker, '_', b.account_id, '_', id), 'order_uid', b.order_uid,
                       'broker', b.broker, 'account_id', b.account_id, 'broker_trade_id', id, 'market', b.market,
                       'symbol', w.symbol, 'underlying', of ->> 'underlying', 'asset_class', of ->> 'asset_class',
                       'kind', 'TRADE', 'effective', true, 'side', side, 'qty', trim_scale(filled - dealt)::text,
                       'price', price::text, 'multiplier', size::text,
                       'amount', trim_scale((filled - dealt) * price * size)::text, 'currency', b.currency,
                       'executed_at', coalesce(b.updated_at, b.created_at), 'trade_date', on_date,
                       'position_effect', b.position_effect, 'source', 'futu_deals',
                       'instrument_id', of ->> 'futu_code'))) ORDER BY n) END AS rows,
           (SELECT jsonb_agg(jsonb_build_object(
                'do', 'insert', 'table', 'fee_allocations', 'row', jsonb_build_object(
                    'fee_uid', f.fee_uid, 'trade_uid', concat(b.broker, '_', b.account_id, '_MISSING_', b.broker_order_id),
                    'broker', f.broker, 'account_id', f.account_id, 'amount', f.amount::text)) ORDER BY f.fee_uid)
            FROM fees_norm f
            WHERE f.order_uid = b.order_uid AND known.effective = 0
              AND NOT EXISTS (SELECT FROM fee_allocations a WHERE a.fee_uid = f.fee_uid)) AS fees
    FROM (
        SELECT w.*, row_number() OVER (ORDER BY (side = b.side) DESC, w.symbol) AS n
        FROM (
            SELECT w.*, (SELECT to_jsonb(i) FROM instruments i WHERE i.symbol = w.symbol) AS of,
                   CASE WHEN b.legs IS NULL THEN b.side ELSE (
                       SELECT x.side FROM jsonb_to_recordset(b.legs) AS x (symbol text, side text)
                       WHERE x.symbol = w.symbol LIMIT 1) END AS side
            FROM jsonb_to_recordset(b.wrong) AS w (symbol text, filled numeric, dealt numeric)
            WHERE w.dealt < w.filled
        ) AS w
    ) AS w
    CROSS JOIN LATERAL (
        SELECT concat('MISSING_', b.broker_order_id, nullif('_' || n, '_1')) AS id,
               CASE WHEN b.legs IS NULL THEN coalesce(b.multiplier, (of ->> 'multiplier')::numeric)
                    ELSE (of ->> 'multiplier')::numeric END AS size,
               CASE WHEN b.changed_on = b.trade_date OR b.status = 'FILLED' THEN b.changed_on
                    ELSE known.last_on END AS on_date
    ) AS a
    CROSS JOIN LATERAL (
        SELECT trim_scale(round(CASE
            WHEN n > 1 THEN 0
            WHEN b.legs IS NULL THEN (b.avg_price * b.filled_qty - known.paid) / (filled - dealt)
            ELSE (b.avg_price * b.filled_qty * b.multiplier * CASE b.side WHEN 'BUY' THEN 1 ELSE -1 END
                  - known.paid_net) * CASE side WHEN 'BUY' THEN 1 ELSE -1 END / ((filled - dealt) * nullif(size, 0))
            END, 8)) AS price
    ) AS p
    WHERE b.broker = 'FUTU' AND b.source = 'futu_orders' AND NOT EXISTS (
        SELECT FROM orders_norm lost JOIN trades_norm t USING (order_uid)
        WHERE lost.broker = 'FUTU' AND lost.source = 'futu_deals'
          AND lost.trade_date BETWEEN b.trade_date AND b.changed_on AND t.symbol = ANY (b.symbols)
          AND (lost.account_id = b.account_id OR lost.broker_order_id = b.broker_order_id))
) AS missing
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
               'row', jsonb_build_object('kind', 'TRADE', 'effective', true, 'trade_date', t.trade_date))
               ORDER BY t.trade_uid) AS rows
    FROM trades_norm t
    WHERE t.order_uid = b.order_uid AND NOT t.effective AND t.kind = 'CANCEL' AND t.symbol = ANY (b.symbols)
) AS taken
LEFT JOIN LATERAL (
    -- The trade that is too much, or tells too much: the one without whose surplus the average is that of the order.
    SELECT jsonb_build_array(CASE WHEN t.qty = over.qty THEN jsonb_build_object(
               'do', 'delete', 'table', 'trades_norm',
               'key', jsonb_build_object('trade_uid', t.trade_uid, 'trade_date', t.trade_date))
           ELSE jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
               'row', jsonb_build_object(
                   'trade_date', t.trade_date, 'qty', trim_scale(t.qty - over.qty)::text,
                   'amount', trim_scale((t.qty - over.qty) * t.price * t.multiplier)::text)) END) AS rows
    FROM (SELECT b.actual - b.expected AS qty) AS over
    JOIN trades_norm t ON t.order_uid = b.order_uid AND t.effective AND t.symbol = b.symbols[1]
                      AND (t.qty = over.qty OR (t.qty > over.qty AND b.broker = 'FUTU'))
    CROSS JOIN LATERAL (
        SELECT CASE WHEN b.legs IS NULL THEN known.paid - over.qty * t.price - b.avg_price * b.expected
                    ELSE abs(known.paid_net - over.qty * t.price * t.multiplier
                                              * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END)
                         - abs(b.avg_price * b.filled_qty * b.multiplier) END AS gap
    ) AS left_over
    ORDER BY abs(left_over.gap) NULLS LAST, t.qty, t.trade_uid DESC
    LIMIT 1
) AS surplus ON b.count = 1
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
               'row', jsonb_build_object('side', b.side, 'trade_date', t.trade_date)) ORDER BY t.trade_uid) AS rows
    FROM trades_norm t
    WHERE t.order_uid = b.order_uid AND t.effective AND t.side <> b.side
      AND b.actual + 2 * known.turned_qty = b.expected
) AS turned
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
               'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_date', t.trade_date, 'symbol', i.symbol, 'underlying', i.underlying, 'asset_class', i.asset_class,
                   'multiplier', i.multiplier::text, 'amount', trim_scale(t.qty * t.price * i.multiplier)::text,
                   'instrument_id', CASE b.broker WHEN 'FUTU' THEN i.futu_code ELSE i.ib_conid END)))
               ORDER BY t.trade_uid) AS rows
    FROM jsonb_to_recordset(b.wrong) AS have (symbol text, filled numeric, dealt numeric)
    JOIN jsonb_to_recordset(b.wrong) AS want (symbol text, filled numeric, dealt numeric)
      ON have.filled = 0 AND have.dealt = want.filled - want.dealt
    JOIN trades_norm t ON t.order_uid = b.order_uid AND t.symbol = have.symbol AND t.effective
    JOIN instruments i ON i.symbol = want.symbol
    WHERE b.count = 2
) AS swapped
ORDER BY 3
