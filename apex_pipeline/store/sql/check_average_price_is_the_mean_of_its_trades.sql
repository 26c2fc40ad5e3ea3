-- B02. The average price that an order tells is the mean of its trades' prices, weighed by quantity. Tolerance: one in
-- ten thousand of the price, as is usual for averages, and half of the third decimal at Futu, which tells no more of
-- them. Only where the quantities agree; otherwise B01 speaks. The average of a combination is its net price: what its
-- legs cost together less what they brought, for one unit of the order's contract size. No source says so, nor with what
-- sign, so it is compared only in accounts that keep to it in three of four combinations; either sign agrees, and the
-- tolerance is of all that was paid and received.
-- An average of IB is made of these trades by us: where they differ, a stored row was changed.
-- What would set it right: the one trade at the price that the average leaves for it; of several, the one that then is
-- nearest to the others.
-- A mean lies between its prices: where each is near enough to the average, so is their mean, and nothing is summed.
WITH suspect AS MATERIALIZED (
    SELECT o.order_uid, o.broker, o.legs, o.filled_qty, o.avg_price, o.multiplier
    FROM orders_norm o JOIN trades_norm t USING (order_uid)
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.avg_price IS NOT NULL AND o.filled_qty > 0
      AND o.source <> 'futu_deals' AND o.legs IS NULL AND t.effective AND t.price <> o.avg_price AND (t.price < 0
      OR abs(t.price - o.avg_price) > 0.0001 * t.price + CASE o.broker WHEN 'FUTU' THEN 0.0005 ELSE 0 END)
    GROUP BY o.order_uid
    UNION ALL
    SELECT o.order_uid, o.broker, o.legs, o.filled_qty, o.avg_price, o.multiplier FROM orders_norm o
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.avg_price IS NOT NULL AND o.filled_qty > 0
      AND o.source <> 'futu_deals' AND o.legs IS NOT NULL
), mean AS MATERIALIZED (
    SELECT t.order_uid, sum(t.qty) AS qty, sum(t.qty * t.price) AS paid, sum(t.qty * t.price * t.multiplier) AS gross,
           sum(t.qty * t.price * t.multiplier * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END) AS net,
           count(*) FILTER (WHERE t.multiplier IS NULL) AS unsized
    FROM suspect JOIN trades_norm t USING (order_uid)
    WHERE t.effective
    GROUP BY 1
), differs AS MATERIALIZED (
    SELECT o.order_uid, m.qty AS dealt, m.paid, CASE WHEN o.legs IS NOT NULL THEN m.net END AS net, c.unit, c.mean,
           c.told, c.allowed
    FROM mean m JOIN suspect o USING (order_uid)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN o.legs IS NULL THEN m.qty ELSE o.filled_qty * o.multiplier END AS unit,
               CASE WHEN o.legs IS NULL THEN o.filled_qty
                    ELSE (SELECT o.filled_qty * sum(leg.ratio)
                          FROM jsonb_to_recordset(o.legs) AS leg (ratio numeric)) END AS qty
    ) AS u
    CROSS JOIN LATERAL (
        SELECT u.unit, CASE WHEN o.legs IS NULL THEN m.paid ELSE abs(m.net) END / nullif(u.unit, 0) AS mean,
               CASE WHEN o.legs IS NULL THEN o.avg_price ELSE abs(o.avg_price) END AS told,
               0.0001 * abs(CASE WHEN o.legs IS NULL THEN m.paid ELSE coalesce(m.gross, m.paid) END) / nullif(u.unit, 0)
                   + CASE o.broker WHEN 'FUTU' THEN 0.0005 ELSE 0 END AS allowed
    ) AS c
    WHERE m.qty = u.qty AND abs(c.told - c.mean) > c.allowed AND (o.legs IS NULL OR m.unsized = 0)
), wrong AS MATERIALIZED (
    SELECT o.*, d.dealt, d.paid, d.net, d.unit, d.mean, d.told, d.allowed
    FROM differs d JOIN orders_norm o USING (order_uid)
), net_prices AS MATERIALIZED (
    SELECT o.account_id
    FROM (SELECT DISTINCT account_id FROM wrong WHERE legs IS NOT NULL) AS a
    JOIN orders_norm o ON o.account_id = a.account_id AND o.legs IS NOT NULL AND o.avg_price IS NOT NULL
     AND o.filled_qty > 0 AND o.multiplier > 0 AND o.source <> 'futu_deals'
    CROSS JOIN LATERAL (
        SELECT sum(t.qty * t.price * t.multiplier * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END) AS net,
               sum(t.qty * t.price * t.multiplier) AS gross
        FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective
    ) AS m
    GROUP BY 1
    HAVING count(*) * 3 <= 4 * count(*) FILTER (
        WHERE abs(abs(o.avg_price) * o.filled_qty * o.multiplier - abs(m.net))
              <= 0.0001 * m.gross + 0.0005 * o.filled_qty * o.multiplier)
)
SELECT w.broker, w.account_id, w.order_uid AS subject, w.trade_date AS business_date, w.told AS expected,
       trim_scale(round(w.mean, 8)) AS actual,
       CASE WHEN why.cause = 'ROUNDING' THEN 'WARN' ELSE 'ERROR' END AS severity, why.cause, w.currency,
       jsonb_strip_nulls(jsonb_build_object(
           'order_uid', w.order_uid, 'symbol', w.symbol, 'filled_qty', w.filled_qty::text,
           'average_price', w.avg_price::text, 'mean_of_trades', trim_scale(round(w.mean, 8))::text,
           'tolerance', trim_scale(round(w.allowed, 8))::text,
           'trades', known.trades, 'told_otherwise', known.altered,
           'rows', jsonb_build_array(w.order_uid) || known.uids,
           'set_right', CASE WHEN w.broker = 'FUTU' THEN jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', best.trade_uid),
               'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_date', best.trade_date, 'price', best.price::text, 'amount', best.amount::text)))) END)) AS evidence
FROM wrong w
CROSS JOIN LATERAL (
    SELECT jsonb_agg(t.trade_uid ORDER BY t.trade_uid) FILTER (WHERE n <= 19) AS uids,
           jsonb_agg(jsonb_build_object(
               'trade_uid', t.trade_uid, 'symbol', t.symbol, 'side', t.side, 'qty', t.qty::text, 'price', t.price::text)
               ORDER BY t.trade_uid) FILTER (WHERE n <= 19) AS trades,
           jsonb_agg(t.trade_uid ORDER BY t.trade_uid) FILTER (WHERE n <= 19 AND said.price <> t.price) AS altered,
           bool_or(said.status = '2') AS corrected
    FROM (
        SELECT *, row_number() OVER (ORDER BY trade_uid) AS n FROM trades_norm
        WHERE order_uid = w.order_uid AND effective
    ) AS t
    LEFT JOIN LATERAL (
        SELECT CASE WHEN word ~ '^-?[0-9]+([.][0-9]+)?$' THEN word::numeric END AS price,
               r.payload ->> 'status' AS status
        FROM trades_raw_futu r CROSS JOIN btrim(r.payload ->> 'price') AS word
        WHERE w.broker = 'FUTU' AND r.account_id = t.account_id AND r.record_key = t.broker_trade_id
    ) AS said ON true
) AS known
CROSS JOIN LATERAL (
    SELECT CASE WHEN w.broker = 'IB' OR known.altered IS NOT NULL THEN 'PIPELINE'
                WHEN known.corrected THEN 'CORRECTION'
                WHEN w.told = round(w.mean, 2) THEN 'ROUNDING' END AS cause
) AS why
LEFT JOIN LATERAL (
    -- what the average leaves for each trade if all others are right
    SELECT t.trade_uid, t.trade_date, p.price, trim_scale(t.qty * p.price * t.multiplier) AS amount
    FROM (
        SELECT *, sum(qty) OVER (PARTITION BY symbol) - qty AS rest,
               sum(qty * price) OVER (PARTITION BY symbol) - qty * price AS paid_rest
        FROM trades_norm WHERE order_uid = w.order_uid AND effective AND qty > 0
    ) AS t
    CROSS JOIN LATERAL (
        SELECT trim_scale(round(t.price + CASE
                   WHEN w.legs IS NULL THEN (w.told * w.dealt - w.paid) / t.qty
                   ELSE (CASE WHEN w.net < 0 THEN -1 ELSE 1 END * w.told * w.unit - w.net)
                        * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END / (t.qty * nullif(t.multiplier, 0)) END, 8)) AS price
    ) AS p
    WHERE p.price > 0 AND t.price > 0
    ORDER BY (known.altered @> to_jsonb(t.trade_uid)) DESC NULLS LAST,
             CASE WHEN t.rest > 0 AND t.paid_rest > 0 THEN abs(p.price * t.rest / t.paid_rest - 1)
                  ELSE greatest(p.price / t.price, t.price / p.price) - 1 END, t.trade_uid
    LIMIT 1
) AS best ON true
-- leg by leg: where a quantity differs, B01 speaks
WHERE w.legs IS NULL OR (w.account_id IN (SELECT account_id FROM net_prices) AND NOT EXISTS (
    SELECT FROM jsonb_to_recordset(w.legs) AS leg (symbol text, ratio numeric)
    WHERE w.filled_qty * leg.ratio IS DISTINCT FROM (
        SELECT sum(t.qty) FROM trades_norm t WHERE t.order_uid = w.order_uid AND t.effective AND t.symbol = leg.symbol)
))
ORDER BY 3
