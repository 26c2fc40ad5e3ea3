-- Lots and realized P&L of plain instruments from their units and pieces, into `lots_new` and `realized_new`.
CREATE TEMPORARY TABLE IF NOT EXISTS plain (
    instrument integer, account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS units (
    n integer, position numeric, bought numeric, instrument integer, is_movement boolean, business_date date,
    ordered_at timestamptz, place smallint, sequence numeric, uid text COLLATE "C", qty numeric, moved_at timestamptz,
    price numeric, multiplier numeric, fees numeric, carried_pnl numeric, open_trade_uid text COLLATE "C",
    basis_source text COLLATE "C", kind text COLLATE "C", symbol text COLLATE "C", underlying text COLLATE "C",
    asset_class text COLLATE "C", currency text COLLATE "C", only_closes boolean, taken numeric, upto numeric,
    closing numeric, lot_fees numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS pieces (
    opened integer, closed integer, first_unit numeric, last_unit numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS lots_new (LIKE lots) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS realized_new (LIKE realized_pnl) ON COMMIT DROP;

-- What the first `units` of `whole` bear of `total`; the same as `share` of `domain.lot_shares`. The zero makes the
-- quotient have 20 places at least. It is only fast where its arguments are columns, hence each OFFSET 0 below: what
-- stands before it is computed once and not put into the place of each use.
CREATE OR REPLACE FUNCTION pg_temp.part(total numeric, units numeric, whole numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT CASE WHEN total = 0 OR units = 0 THEN 0 WHEN units = whole THEN total
    ELSE round(round((total * units + 0.00000000000000000000) / whole, 20), 10) END';

-- A movement that first closed lots opens one with the last of its fees.
UPDATE units SET lot_fees = fees - pg_temp.part(fees, closing, abs(qty)) WHERE closing > 0 AND closing < abs(qty);
CREATE TEMPORARY TABLE ends ON COMMIT DROP AS
SELECT instrument, max(bought) AS bought, max(bought - position) AS sold FROM units GROUP BY instrument;
ANALYZE ends;

-- What is left of a lot is what lies beyond all units of the other side.
INSERT INTO lots_new
SELECT uid, broker, account_id, instrument_id, symbol, underlying, asset_class, open_trade_uid, kind, moved_at, business_date,
    business_date, ordered_at, place, sequence, trim_scale(side * whole), price, multiplier, trim_scale(lot_fees), 0,
    trim_scale(side * whole * value + coalesce(lot_fees, 0)), trim_scale(side * remaining),
    trim_scale(side * remaining * value + coalesce(lot_fees - pg_temp.part(lot_fees, gone, whole), 0)),
    currency, closed_at, closed_on, 'FIFO', basis_source
FROM (
    SELECT *, whole - remaining AS gone FROM (
        SELECT u.*, i.broker, i.account_id, i.instrument_id, sign(u.qty) AS side, abs(u.qty) - u.closing AS whole,
            u.price * u.multiplier AS value, c.moved_at AS closed_at, c.business_date AS closed_on,
            greatest(0, least(abs(u.qty) - u.closing, u.upto - CASE WHEN u.qty > 0 THEN e.sold ELSE e.bought END)) AS remaining
        FROM units u
        JOIN ends e USING (instrument)
        JOIN plain i USING (instrument)
        LEFT JOIN pieces p ON p.opened = u.n AND p.last_unit = u.upto
        LEFT JOIN units c ON c.n = p.closed
        WHERE u.is_movement AND u.closing < abs(u.qty)
        OFFSET 0
    ) AS opened
    OFFSET 0
) AS counted;

-- Lots that were open at the start stay as they began; what is left of them is new.
INSERT INTO lots_new
SELECT lot_uid, broker, account_id, instrument_id, symbol, underlying, asset_class, open_trade_uid, origin, opened_at,
    opened_on, started_on, ordered_at, place, sequence, qty, open_price, multiplier, fees, carried_pnl, cost_basis,
    trim_scale(side * remaining),
    trim_scale(side * remaining * open_price * multiplier + coalesce(fees - pg_temp.part(fees, gone, whole), 0)
        - carried_pnl + pg_temp.part(carried_pnl, gone, whole)),
    currency, now_closed_at, now_closed_on, method, basis_source
FROM (
    SELECT *, whole - remaining AS gone FROM (
        SELECT l.*, sign(l.qty) AS side, abs(l.qty) AS whole, c.moved_at AS now_closed_at, c.business_date AS now_closed_on,
            greatest(0, least(abs(u.qty), u.upto - CASE WHEN u.qty > 0 THEN e.sold ELSE e.bought END)) AS remaining
        FROM units u
        JOIN ends e USING (instrument)
        JOIN lots l ON l.lot_uid = u.uid
        LEFT JOIN pieces p ON p.opened = u.n AND p.last_unit = u.upto
        LEFT JOIN units c ON c.n = p.closed
        WHERE NOT u.is_movement
        OFFSET 0
    ) AS opened
    OFFSET 0
) AS counted;

INSERT INTO realized_new
SELECT close_uid || ':' || lot_uid, broker, account_id, instrument_id, symbol, underlying, asset_class, kind,
    CASE WHEN side > 0 THEN 'LONG' ELSE 'SHORT' END, lot_uid, open_trade_uid, close_uid, trim_scale(qty), multiplier,
    open_price, close_price, trim_scale(open_fees), trim_scale(close_fees), trim_scale(carried), trim_scale(cost),
    trim_scale(side * close_price * qty * multiplier - cost - coalesce(close_fees, 0)), currency, NULL, NULL, NULL,
    opened_at, closed_at, opened_on, closed_on, 'FIFO', basis_source
FROM (
    SELECT *, side * qty * open_price * multiplier + coalesce(open_fees, 0) - carried AS cost FROM (
        SELECT *, last_of_lot - first_of_lot AS qty,
            pg_temp.part(lot_fees, last_of_lot, whole) - pg_temp.part(lot_fees, first_of_lot, whole) AS open_fees,
            pg_temp.part(carried_pnl, last_of_lot, whole) - pg_temp.part(carried_pnl, first_of_lot, whole) AS carried,
            pg_temp.part(fees, last_of_close, of_close) - pg_temp.part(fees, first_of_close, of_close) AS close_fees
        FROM (
            SELECT i.broker, i.account_id, i.instrument_id, c.uid AS close_uid, o.uid AS lot_uid, c.symbol, c.underlying,
                c.asset_class, c.kind, sign(o.qty) AS side, o.open_trade_uid, o.multiplier, o.price AS open_price,
                c.price AS close_price, o.currency, o.moved_at AS opened_at, c.moved_at AS closed_at,
                o.business_date AS opened_on, c.business_date AS closed_on, o.basis_source, o.lot_fees, o.carried_pnl, c.fees,
                abs(c.qty) AS of_close, abs(o.qty) - o.closing + o.taken AS whole,
                p.first_unit - o.upto + abs(o.qty) - o.closing + o.taken AS first_of_lot,
                p.last_unit - o.upto + abs(o.qty) - o.closing + o.taken AS last_of_lot,
                p.first_unit - c.upto + abs(c.qty) AS first_of_close, p.last_unit - c.upto + abs(c.qty) AS last_of_close
            FROM pieces p
            JOIN units o ON o.n = p.opened
            JOIN units c ON c.n = p.closed
            JOIN plain i ON i.instrument = o.instrument
            OFFSET 0
        ) AS matched
        OFFSET 0
    ) AS shared
    OFFSET 0
) AS costed;
SELECT count(*) AS realized FROM realized_new
