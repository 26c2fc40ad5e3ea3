-- The movements of plain instruments in order, after the lots that are open at the start, with running sums: `units`.
-- A movement of N units first closes `closing` of them and opens a lot with the rest. `lot_from` is where its lot begins
-- among all units of its side; of a held lot that is before the first one that is left.
CREATE TEMPORARY TABLE IF NOT EXISTS plain (
    instrument integer, account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS held (
    lot_uid text COLLATE "C", account_id text COLLATE "C", instrument_id text COLLATE "C", taken numeric
) ON COMMIT DROP;

CREATE TEMPORARY TABLE units ON COMMIT DROP AS
SELECT *, CASE WHEN qty > 0 THEN bought ELSE bought - position END AS upto,
    CASE WHEN sign(position - qty) = -sign(qty) THEN least(abs(position - qty), abs(qty)) ELSE 0 END AS closing,
    fees AS lot_fees
FROM (
    SELECT (row_number() OVER overall)::integer AS n,
        sum(qty) OVER inorder AS position, sum(greatest(qty, 0)) OVER inorder AS bought, *
    FROM (
        SELECT p.instrument, false AS is_movement, l.opened_on AS business_date, l.ordered_at, l.place, l.sequence,
            l.lot_uid AS uid, l.qty - sign(l.qty) * h.taken AS qty, l.opened_at AS moved_at, l.open_price AS price,
            l.multiplier, l.fees, l.carried_pnl, l.open_trade_uid, l.basis_source, NULL AS kind,
            l.symbol, l.underlying, l.asset_class, l.currency, false AS only_closes, h.taken
        FROM plain p JOIN held h USING (account_id, instrument_id) JOIN lots l USING (lot_uid)
        UNION ALL
        SELECT p.instrument, true, m.business_date, m.ordered_at, m.place, m.sequence, m.movement_uid, m.qty, m.moved_at,
            m.price, m.multiplier, m.fees, 0, CASE WHEN m.kind <> 'OPENING' THEN m.movement_uid END,
            CASE m.kind WHEN 'OPENING' THEN m.position_effect ELSE 'TRADES' END, m.kind, m.symbol, m.underlying,
            m.asset_class, m.currency, coalesce(m.position_effect = 'CLOSE', false) OR m.place = 4, 0
        FROM plain p JOIN position_movements m USING (account_id, instrument_id)
        WHERE m.business_date >= p.from_day AND m.business_date >= %(since)s
    ) AS moved
    WINDOW overall AS (
        ORDER BY instrument, is_movement, business_date, ordered_at, place, sequence, uid ROWS UNBOUNDED PRECEDING
    ), inorder AS (
        PARTITION BY instrument ORDER BY is_movement, business_date, ordered_at, place, sequence, uid
        ROWS UNBOUNDED PRECEDING
    )
) AS summed;
ANALYZE units (n, instrument, is_movement);

-- Closing more than there is needs every rule.
WITH eventful AS (
    DELETE FROM plain p
    WHERE instrument IN (SELECT instrument FROM units WHERE only_closes AND closing < abs(qty))
    RETURNING instrument
)
DELETE FROM units u USING eventful e WHERE e.instrument = u.instrument
