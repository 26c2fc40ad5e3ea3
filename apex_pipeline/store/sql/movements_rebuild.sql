-- What moved positions on the account-days in `due`, rebuilt from trades, corporate actions, transfers and openings, and
-- written where it differs. Leaves `movement_changes` (both the old and the new of every row that differs) and returns
-- what was written, and the first marked day.
CREATE TEMPORARY TABLE IF NOT EXISTS due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;

CREATE TEMPORARY TABLE due_trades ON COMMIT DROP AS
SELECT t.trade_uid, t.broker, t.account_id, t.broker_trade_id, t.instrument_id, t.symbol, t.underlying, t.asset_class,
    t.kind, t.side, t.qty, t.price, t.multiplier, t.currency, t.executed_at, t.trade_date, t.position_effect, t.link_id
FROM trades_norm t JOIN due d ON d.business_date = t.trade_date AND d.account_id = t.account_id AND d.broker = t.broker
WHERE t.effective AND t.kind <> 'CANCEL' AND t.qty > 0 AND t.asset_class NOT IN ('FX', 'COMBO');
ANALYZE due_trades (trade_uid);

-- A fee that is allocated counts there only. A charge in another currency is worth what the day's rates say; without
-- them the fees of its trade are not known.
CREATE TEMPORARY TABLE trade_fees ON COMMIT DROP AS
WITH charges AS (
    SELECT f.trade_uid, f.amount, f.currency FROM due_trades t JOIN fees_norm f USING (trade_uid)
    WHERE NOT EXISTS (SELECT FROM fee_allocations a WHERE a.fee_uid = f.fee_uid)
    UNION ALL
    SELECT a.trade_uid, a.amount, f.currency
    FROM due_trades t JOIN fee_allocations a USING (trade_uid) JOIN fees_norm f USING (fee_uid)
), told AS (
    SELECT c.trade_uid, c.amount, c.currency IS NULL OR t.currency IS NULL OR c.currency = t.currency AS is_same,
        c.currency AS paid_in, t.currency AS traded_in, t.broker, t.account_id, t.trade_date
    FROM charges c JOIN due_trades t USING (trade_uid)
), exchanged AS (
    SELECT trade_uid, amount FROM told WHERE is_same
    UNION ALL
    SELECT o.trade_uid, round(o.amount * v.paid / nullif(v.traded, 0), 10)
    FROM told o
    LEFT JOIN LATERAL (
        SELECT max(r.rate) FILTER (WHERE r.from_currency = o.paid_in) AS paid,
            max(r.rate) FILTER (WHERE r.from_currency = o.traded_in) AS traded
        FROM (
            SELECT from_currency, rate FROM conversion_rates c
            WHERE c.business_date = o.trade_date AND c.account_id = o.account_id AND c.broker = o.broker
            UNION ALL
            SELECT to_currency, 1 FROM conversion_rates c
            WHERE c.business_date = o.trade_date AND c.account_id = o.account_id AND c.broker = o.broker
        ) AS r
    ) AS v ON true
    WHERE NOT o.is_same
)
SELECT trade_uid, CASE WHEN count(amount) = count(*) THEN trim_scale(sum(amount)) END AS fees
FROM exchanged GROUP BY trade_uid;
ANALYZE trade_fees (trade_uid);

CREATE TEMPORARY TABLE movements_new (LIKE position_movements) ON COMMIT DROP;
INSERT INTO movements_new
SELECT t.trade_uid, t.broker, t.account_id, coalesce(t.instrument_id, t.symbol), t.symbol, t.underlying, t.asset_class,
    t.trade_date, t.executed_at,
    coalesce(t.executed_at, (t.trade_date + time '23:59:59.999999') AT TIME ZONE 'UTC'),
    CASE
        WHEN t.kind = 'TRADE' OR t.kind = 'OTHER' THEN 3
        WHEN t.kind = 'EXPIRATION' OR t.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT') THEN 4
        ELSE 5
    END,
    CASE WHEN t.broker_trade_id ~ '^[0-9]+$' THEN t.broker_trade_id::numeric END,
    t.kind, NULL, trim_scale(CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END), trim_scale(t.price),
    trim_scale(t.multiplier), CASE WHEN f.trade_uid IS NULL AND t.kind <> 'TRADE' THEN 0 ELSE f.fees END, NULL,
    t.currency, t.position_effect, CASE WHEN t.kind IN ('EXERCISE', 'ASSIGNMENT') THEN t.link_id END,
    -- A basis of 0 beside an effect that the broker does not know proves nothing.
    CASE WHEN t.position_effect = 'CLOSE' AND (b.position_effect IS NOT NULL OR b.cost_basis <> 0)
        THEN trim_scale(-b.cost_basis) END
FROM due_trades t
LEFT JOIN trade_fees f USING (trade_uid)
LEFT JOIN broker_trade_figures b ON b.trade_uid = t.trade_uid;

INSERT INTO movements_new
SELECT c.action_uid, c.broker, c.account_id, coalesce(c.instrument_id, c.symbol), c.symbol, c.underlying, c.asset_class,
    c.business_date, c.happened_at, coalesce(c.happened_at, c.business_date::timestamp AT TIME ZONE 'UTC'), 1, NULL,
    'CORPORATE_ACTION', CASE WHEN c.broker_kind IS NULL AND coalesce(c.kind, 'UNKNOWN') = 'UNKNOWN' THEN 'UNTOLD'
        ELSE coalesce(c.kind, 'UNKNOWN') END, trim_scale(c.qty), NULL, trim_scale(i.multiplier), 0, trim_scale(c.proceeds),
    c.currency, NULL, coalesce(c.broker_action_id || '@' || c.business_date, c.action_uid),
    -- Money less the broker's own gain: the basis that went with the money.
    trim_scale(c.proceeds - c.realized_pnl)
FROM corporate_actions c
JOIN due d ON d.business_date = c.business_date AND d.account_id = c.account_id AND d.broker = c.broker
LEFT JOIN instruments i ON i.symbol = c.symbol
WHERE c.qty <> 0 AND c.asset_class NOT IN ('FX', 'COMBO');

-- Openings and transfers are few, and each may change what the other means on any day: all of them are rebuilt.
-- Of an opening that no lot data names nobody knows the age: it comes before all others of its day, but what remains of a
-- position after its named lots comes after them.
INSERT INTO movements_new
SELECT o.opening_uid, o.broker, o.account_id, o.instrument_id, o.symbol, o.underlying, o.asset_class, o.opened_on,
    o.opened_at, CASE
        WHEN starts_with(o.opening_uid, 'REMAINDER_') THEN (o.opened_on + 1)::timestamp AT TIME ZONE 'America/New_York'
        WHEN o.source = 'BROKER_POSITION' THEN '1900-01-01 00:00:00+00'
        ELSE coalesce(o.opened_at, o.opened_on::timestamp AT TIME ZONE 'UTC') END, 0, NULL, 'OPENING', NULL,
    trim_scale(o.qty), p.price, trim_scale(o.multiplier), trim_scale(o.cost_basis - o.qty * p.price * o.multiplier),
    NULL, o.currency, o.source, NULL, NULL
FROM opening_balances o
CROSS JOIN LATERAL (
    SELECT trim_scale(coalesce(o.open_price, round(o.cost_basis / nullif(o.qty * o.multiplier, 0), 10))) AS price
) AS p;

-- A transfer whose lots are named by openings is told by them: by those that say so, and by what a person signed for the
-- day.
INSERT INTO movements_new
SELECT t.transfer_uid, t.broker, t.account_id, coalesce(t.instrument_id, t.symbol), t.symbol, t.underlying, t.asset_class,
    t.business_date, NULL, t.business_date::timestamp AT TIME ZONE 'UTC', 2, NULL, 'TRANSFER', NULL, trim_scale(t.qty),
    NULL, trim_scale(i.multiplier), 0, NULL, t.currency,
    CASE WHEN upper(t.direction) = 'IN' THEN 'OPEN' WHEN upper(t.direction) = 'OUT' OR t.qty < 0 THEN 'CLOSE' ELSE 'OPEN' END,
    NULL, NULL
FROM transfers t LEFT JOIN instruments i ON i.symbol = t.symbol
WHERE t.symbol IS NOT NULL AND t.qty <> 0 AND t.asset_class NOT IN ('FX', 'COMBO')
  AND t.qty IS DISTINCT FROM (
      SELECT sum(o.qty) FROM opening_balances o
      WHERE o.account_id = t.account_id AND o.instrument_id = coalesce(t.instrument_id, t.symbol)
        AND (o.note = 'transfer ' || t.transfer_uid OR (o.source = 'PERSON' AND o.opened_on = t.business_date))
  );
CREATE UNIQUE INDEX ON movements_new (movement_uid);
ANALYZE movements_new (movement_uid);

CREATE TEMPORARY TABLE movements_gone ON COMMIT DROP AS
SELECT m.movement_uid FROM position_movements m
JOIN due d ON d.business_date = m.business_date AND d.account_id = m.account_id AND d.broker = m.broker
WHERE m.kind NOT IN ('OPENING', 'TRANSFER')
  AND NOT EXISTS (SELECT FROM movements_new n WHERE n.movement_uid = m.movement_uid)
UNION ALL
SELECT m.movement_uid FROM position_movements m
WHERE m.kind IN ('OPENING', 'TRANSFER')
  AND NOT EXISTS (SELECT FROM movements_new n WHERE n.movement_uid = m.movement_uid);

CREATE TEMPORARY TABLE movements_differing ON COMMIT DROP AS
SELECT n.movement_uid, m.movement_uid IS NULL AS is_new
FROM movements_new n LEFT JOIN position_movements m USING (movement_uid)
WHERE m.movement_uid IS NULL OR row(n.*) IS DISTINCT FROM row(m.*);
ANALYZE movements_differing (movement_uid);

CREATE TEMPORARY TABLE movement_changes ON COMMIT DROP AS
SELECT m.broker, m.account_id, m.instrument_id, m.business_date, m.link_id
FROM position_movements m JOIN movements_gone g USING (movement_uid)
UNION ALL
SELECT m.broker, m.account_id, m.instrument_id, m.business_date, m.link_id
FROM position_movements m JOIN movements_differing c USING (movement_uid) WHERE NOT c.is_new
UNION ALL
SELECT n.broker, n.account_id, n.instrument_id, n.business_date, n.link_id
FROM movements_new n JOIN movements_differing c USING (movement_uid);
ANALYZE movement_changes (account_id, instrument_id, link_id);

DELETE FROM position_movements m
USING (SELECT movement_uid FROM movements_gone UNION ALL SELECT movement_uid FROM movements_differing WHERE NOT is_new) AS g
WHERE m.movement_uid = g.movement_uid;
INSERT INTO position_movements SELECT n.* FROM movements_new n JOIN movements_differing USING (movement_uid);
SELECT count(*) FILTER (WHERE is_new) AS inserted, count(*) FILTER (WHERE NOT is_new) AS updated,
    (SELECT count(*) FROM movements_gone) AS deleted,
    (SELECT min(business_date) FROM due WHERE was_dirty) AS dirty_since
FROM movements_differing
