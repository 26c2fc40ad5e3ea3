-- What the strategies of one account follow from, by family: the orders in `strategy_orders`, in `strategy_moves` what
-- changed positions without an order (`at` NULL: it was there before the first order). Returns for each family what it is
-- made of as three hashes, and those of which it was last made (no version where an order has no row); and whether all that
-- its account held before the first order is known. Hashes hold no instants as text: that depends on a setting.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_orders (
    LIKE orders_norm, first_fill_at timestamptz, family text COLLATE "C" NOT NULL, is_filled boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_moves (
    uid text COLLATE "C" NOT NULL, broker text COLLATE "C" NOT NULL, family text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL, underlying text COLLATE "C", asset_class text COLLATE "C" NOT NULL,
    option_right text COLLATE "C", strike numeric, expiry date, multiplier numeric, qty numeric NOT NULL, at timestamptz
) ON COMMIT DROP;
-- Orders without a fill matter where they are legs of a declared combination: they tell what was meant.
INSERT INTO strategy_orders
SELECT o.*, f.first_fill_at, coalesce(i.underlying, o.underlying, split_part(o.symbol, ' ', 1)),
       coalesce(o.filled_qty > 0, o.status = 'FILLED')
FROM orders_norm o
LEFT JOIN instruments i ON i.symbol = o.symbol
LEFT JOIN (
    SELECT order_uid, min(executed_at) AS first_fill_at FROM trades_norm
    WHERE effective AND account_id = %(account_id)s GROUP BY order_uid
) AS f USING (order_uid)
WHERE o.account_id = %(account_id)s AND (o.filled_qty > 0 OR o.status = 'FILLED' OR o.combo_id IS NOT NULL);
CREATE INDEX ON strategy_orders (family);
ANALYZE strategy_orders;

-- As the ledger moves positions, without what orders moved: see movements_rebuild.
INSERT INTO strategy_moves
SELECT m.uid, m.broker, coalesce(i.underlying, m.underlying, split_part(m.symbol, ' ', 1)), m.symbol,
       coalesce(i.underlying, m.underlying), coalesce(i.asset_class, m.asset_class), i.option_right, i.strike, i.expiry,
       coalesce(i.multiplier, m.multiplier), m.qty, m.at
FROM (
    SELECT t.trade_uid AS uid, t.broker, t.symbol, t.underlying, t.asset_class, t.multiplier,
           CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS qty,
           coalesce(t.executed_at, (t.trade_date + time '23:59:59.999999') AT TIME ZONE 'UTC') AS at
    FROM trades_norm t
    WHERE t.account_id = %(account_id)s AND t.effective AND t.kind <> 'CANCEL'
      AND (t.order_uid IS NULL OR NOT EXISTS (SELECT FROM orders_norm o WHERE o.order_uid = t.order_uid))
    UNION ALL
    SELECT c.action_uid, c.broker, c.symbol, c.underlying, c.asset_class, NULL, c.qty,
           coalesce(c.happened_at, c.business_date::timestamp AT TIME ZONE 'UTC')
    FROM corporate_actions c WHERE c.account_id = %(account_id)s AND c.symbol IS NOT NULL
    UNION ALL
    SELECT o.opening_uid, o.broker, o.symbol, o.underlying, o.asset_class, o.multiplier, o.qty, CASE
               WHEN starts_with(o.opening_uid, 'REMAINDER_') THEN (o.opened_on + 1)::timestamp AT TIME ZONE 'America/New_York'
               WHEN o.source = 'BROKER_POSITION' THEN o.opened_on::timestamp AT TIME ZONE 'UTC'
               ELSE coalesce(o.opened_at, o.opened_on::timestamp AT TIME ZONE 'UTC') END
    FROM opening_balances o WHERE o.account_id = %(account_id)s
    UNION ALL
    SELECT t.transfer_uid, t.broker, t.symbol, t.underlying, t.asset_class, NULL, t.qty,
           t.business_date::timestamp AT TIME ZONE 'UTC'
    FROM transfers t
    WHERE t.account_id = %(account_id)s AND t.symbol IS NOT NULL
      AND t.qty IS DISTINCT FROM (
          SELECT sum(o.qty) FROM opening_balances o
          WHERE o.account_id = t.account_id AND o.instrument_id = coalesce(t.instrument_id, t.symbol)
            AND (o.note = 'transfer ' || t.transfer_uid OR (o.source = 'PERSON' AND o.opened_on = t.business_date)))
) AS m
LEFT JOIN instruments i ON i.symbol = m.symbol
WHERE m.qty <> 0 AND m.asset_class NOT IN ('FX', 'COMBO');

-- Openings that come before everything else of their family were there before the first order: as a whole they tell which
-- strategies they may be.
UPDATE strategy_moves m SET at = NULL
FROM opening_balances o
WHERE o.opening_uid = m.uid AND o.account_id = %(account_id)s
  AND NOT EXISTS (
      SELECT FROM strategy_orders s
      WHERE s.family = m.family AND s.broker = m.broker
        AND coalesce(s.first_fill_at, s.created_at, s.trade_date::timestamp AT TIME ZONE 'UTC') <= m.at)
  AND NOT EXISTS (
      SELECT FROM strategy_moves b
      WHERE b.family = m.family AND b.broker = m.broker AND b.at <= m.at
        AND NOT EXISTS (SELECT FROM opening_balances other WHERE other.opening_uid = b.uid));

-- Futu tells no lots. What its first readable snapshot of positions shows beyond all known trades was there before them;
-- stocks only if they were long, options only if they still lived, because what lacks may also be an end that nobody told.
-- An instrument of which an order and its trades disagree proves nothing.
INSERT INTO strategy_moves
WITH first AS (
    SELECT r.account_id, r.business_date, max(coalesce(r.generated_at, r.fetched_at)) AS as_of
    FROM positions_raw_futu r
    WHERE r.account_id = %(account_id)s
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'FUTU' AND q.kind = 'positions' AND q.account_id = r.account_id
                      AND q.business_date = r.business_date AND q.resolved_at IS NULL)
    GROUP BY 1, 2 ORDER BY 2 LIMIT 1
), parts AS (
    SELECT p.symbol, p.qty FROM first JOIN broker_positions p USING (account_id, business_date) WHERE p.broker = 'FUTU'
    UNION ALL
    SELECT t.symbol, CASE t.side WHEN 'BUY' THEN -t.qty ELSE t.qty END
    FROM first f JOIN trades_norm t USING (account_id)
    WHERE t.broker = 'FUTU' AND t.effective AND coalesce(t.executed_at <= f.as_of, t.trade_date <= f.business_date)
    UNION ALL
    SELECT m.symbol, -m.qty FROM first f JOIN strategy_moves m ON m.at <= f.as_of
    WHERE m.broker = 'FUTU' AND NOT EXISTS (SELECT FROM trades_norm t WHERE t.trade_uid = m.uid)
), lacking AS (
    SELECT symbol, sum(qty) AS qty FROM parts GROUP BY 1 HAVING sum(qty) <> 0
), fills AS (
    SELECT coalesce(leg.symbol, o.symbol) AS symbol, coalesce(o.filled_qty, o.qty) * coalesce(leg.ratio, 1) AS qty
    FROM orders_norm o LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text, ratio numeric) ON o.legs IS NOT NULL
    WHERE o.account_id = %(account_id)s AND (o.filled_qty > 0 OR o.status = 'FILLED') AND EXISTS (SELECT FROM lacking)
    UNION ALL
    SELECT t.symbol, -t.qty FROM trades_norm t
    WHERE t.account_id = %(account_id)s AND t.effective AND t.order_uid IS NOT NULL AND EXISTS (SELECT FROM lacking)
)
SELECT 'BEFORE ' || l.symbol, 'FUTU', coalesce(i.underlying, split_part(l.symbol, ' ', 1)), l.symbol, i.underlying,
       i.asset_class, i.option_right, i.strike, i.expiry, i.multiplier, l.qty, NULL
FROM lacking l JOIN instruments i USING (symbol) CROSS JOIN first f
WHERE ((i.asset_class IN ('STOCK', 'FUND') AND l.qty > 0) OR (i.asset_class = 'OPTION' AND i.expiry > f.business_date))
  AND coalesce((SELECT sum(s.qty) FROM fills s WHERE s.symbol = l.symbol), 0) = 0;
CREATE INDEX ON strategy_moves (family);
ANALYZE strategy_moves;

-- Of IB any statement of positions tells what there was before; of Futu only a snapshot from before the first order, because
-- options that were closed or expired until a later one leave nothing in it.
WITH told AS (
    SELECT 'IB' AS broker, EXISTS (
        SELECT FROM positions_raw_ib r
        WHERE r.account_id = %(account_id)s AND r.record_key NOT LIKE 'tws:%%'
          AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'IB' AND q.kind = 'positions' AND q.account_id = r.account_id
                          AND q.business_date = r.business_date AND q.resolved_at IS NULL)) AS is_told
    UNION ALL
    SELECT 'FUTU', EXISTS (
        SELECT FROM positions_raw_futu r
        WHERE r.account_id = %(account_id)s AND coalesce(r.generated_at, r.fetched_at) <= (
            SELECT min(coalesce(o.first_fill_at, o.created_at, o.trade_date::timestamp AT TIME ZONE 'UTC')) FROM strategy_orders o)
          AND NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = 'FUTU' AND q.kind = 'positions' AND q.account_id = r.account_id
                          AND q.business_date = r.business_date AND q.resolved_at IS NULL))
), terms AS (
    SELECT o.order_uid, md5(string_agg(md5(row(i.*)::text), '' ORDER BY i.symbol)) AS hash
    FROM strategy_orders o LEFT JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (symbol text) ON o.legs IS NOT NULL
    JOIN instruments i ON i.symbol = coalesce(leg.symbol, o.symbol)
    GROUP BY 1
), orders AS (
    SELECT o.broker, o.family, count(*) AS orders, bool_or(o.is_filled AND m.order_uid IS NULL) AS lacks_rows, md5(string_agg(md5(row(
               o.order_uid, o.symbol, o.underlying, o.asset_class, o.side, o.position_effect, o.status, o.qty, o.filled_qty,
               o.avg_price, o.multiplier, o.trade_date, o.combo_id, o.legs, o.declared_strategy,
               extract(epoch FROM coalesce(o.first_fill_at, o.created_at)), t.hash
           )::text), '' ORDER BY o.order_uid)) AS hash
    FROM strategy_orders o LEFT JOIN terms t USING (order_uid)
    LEFT JOIN (SELECT DISTINCT order_uid FROM order_strategy_map WHERE account_id = %(account_id)s) AS m USING (order_uid)
    GROUP BY 1, 2
), moves AS (
    SELECT broker, family, md5(string_agg(md5(row(
               uid, symbol, underlying, asset_class, option_right, strike, expiry, multiplier, qty, extract(epoch FROM at)
           )::text), '' ORDER BY uid, symbol)) AS hash
    FROM strategy_moves GROUP BY 1, 2
), corrections AS (
    SELECT broker, underlying AS family, md5(string_agg(correction_uid, '' ORDER BY correction_uid)) AS hash
    FROM strategy_corrections WHERE account_id = %(account_id)s AND revoked_at IS NULL GROUP BY 1, 2
)
SELECT k.broker, k.family, coalesce(t.is_told, false) AS is_told, coalesce(o.orders, 0) AS orders,
       coalesce(o.hash, '') AS orders_hash,
       CASE WHEN t.is_told THEN 'told ' ELSE '' END || coalesce(m.hash, '') AS moves_hash,
       coalesce(c.hash, '') AS corrections_hash, s.orders_hash AS old_orders_hash, s.moves_hash AS old_moves_hash,
       s.corrections_hash AS old_corrections_hash, CASE WHEN o.lacks_rows IS NOT TRUE THEN s.classifier_version END AS old_version
FROM (SELECT broker, family FROM orders UNION SELECT broker, family FROM moves) AS k
LEFT JOIN told t USING (broker)
LEFT JOIN orders o USING (broker, family) LEFT JOIN moves m USING (broker, family) LEFT JOIN corrections c USING (broker, family)
LEFT JOIN strategy_families s ON s.account_id = %(account_id)s AND s.underlying = k.family AND s.broker = k.broker
ORDER BY 1, 2
