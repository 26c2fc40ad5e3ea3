-- What is needed to match: the lots that are open when each touched instrument begins again (`held`), and the instruments
-- that only trade in one currency and unit (`plain`, numbered). All others need every rule. Returns how many are plain.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;

-- What left a lot before the day is what is gone of it, less what is stored as having left since. `since` is the first
-- day of all, told as a constant so that the planner knows how little a single day is.
CREATE TEMPORARY TABLE held (
    lot_uid text COLLATE "C", account_id text COLLATE "C", instrument_id text COLLATE "C", taken numeric
) ON COMMIT DROP;
WITH open_then AS (
    SELECT l.lot_uid, l.account_id, l.instrument_id, abs(l.qty) - abs(l.remaining_qty) AS gone
    FROM touched t JOIN lots l USING (account_id, instrument_id)
    WHERE l.started_on < t.from_day AND l.closed_on IS NULL
    UNION ALL
    SELECT l.lot_uid, l.account_id, l.instrument_id, abs(l.qty) - abs(l.remaining_qty)
    FROM touched t JOIN lots l USING (account_id, instrument_id)
    WHERE l.started_on < t.from_day AND l.closed_on >= t.from_day AND l.closed_on >= %(since)s
), left_since AS (
    SELECT lot_uid, sum(qty) AS qty FROM (
        SELECT r.lot_uid, r.qty FROM touched t JOIN realized_pnl r USING (account_id, instrument_id)
        WHERE r.closed_on >= t.from_day AND r.closed_on >= %(since)s AND r.lot_uid IS NOT NULL
        UNION ALL
        SELECT v.lot_uid, abs(v.qty) FROM touched t JOIN lot_moves v USING (account_id, instrument_id)
        WHERE v.moved_on >= t.from_day
    ) AS pieces GROUP BY lot_uid
)
INSERT INTO held
SELECT o.lot_uid, o.account_id, o.instrument_id, o.gone - coalesce(s.qty, 0) AS taken
FROM open_then o LEFT JOIN left_since s USING (lot_uid);
CREATE INDEX ON held (account_id, instrument_id);
ANALYZE held;

CREATE TEMPORARY TABLE plain (
    instrument integer, account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
INSERT INTO plain
SELECT (row_number() OVER (ORDER BY account_id, instrument_id))::integer AS instrument, account_id, instrument_id, broker,
    from_day
FROM (
    SELECT t.*, coalesce(m.is_odd, false) OR coalesce(h.is_odd, false)
        OR coalesce(m.multiplier <> h.multiplier OR m.currency <> h.currency, false)
        OR t.account_id IN (SELECT account_id FROM account_rules WHERE rule = 'LOT_METHOD' AND value <> 'FIFO')
        OR EXISTS (
            SELECT FROM ledger_stops s WHERE s.account_id = t.account_id AND s.instrument_id = t.instrument_id
              AND s.business_date < t.from_day
        ) AS is_eventful
    FROM touched t
    LEFT JOIN (
        SELECT account_id, instrument_id, min(m.multiplier) AS multiplier, min(m.currency) AS currency,
            bool_or(m.kind NOT IN ('TRADE', 'EXPIRATION', 'OPENING', 'OTHER') OR m.link_id IS NOT NULL
                OR m.price IS NULL OR m.multiplier IS NULL OR m.currency IS NULL)
            OR min(m.multiplier) <> max(m.multiplier) OR min(m.currency) <> max(m.currency)
            OR min(sign(m.qty)) FILTER (WHERE m.kind = 'OPENING') <> max(sign(m.qty)) FILTER (WHERE m.kind = 'OPENING')
            OR max(m.business_date) FILTER (WHERE m.kind = 'OPENING')
                >= min(m.business_date) FILTER (WHERE m.kind <> 'OPENING') AS is_odd
        FROM touched t JOIN position_movements m USING (account_id, instrument_id)
        WHERE m.business_date >= t.from_day AND m.business_date >= %(since)s
        GROUP BY account_id, instrument_id
    ) AS m USING (account_id, instrument_id)
    LEFT JOIN (
        SELECT h.account_id, h.instrument_id, min(l.multiplier) AS multiplier, min(l.currency) AS currency,
            bool_or(l.open_price IS NULL OR l.multiplier IS NULL OR l.currency IS NULL)
            OR min(l.multiplier) <> max(l.multiplier) OR min(l.currency) <> max(l.currency) AS is_odd
        FROM held h JOIN lots l USING (lot_uid) GROUP BY h.account_id, h.instrument_id
    ) AS h USING (account_id, instrument_id)
) AS sorted
WHERE NOT is_eventful;
CREATE UNIQUE INDEX ON plain (account_id, instrument_id);
ANALYZE plain;

-- The rows that follow, which both engines fill.
CREATE TEMPORARY TABLE lots_new (LIKE lots) ON COMMIT DROP;
CREATE TEMPORARY TABLE lot_moves_new (LIKE lot_moves) ON COMMIT DROP;
CREATE TEMPORARY TABLE realized_new (LIKE realized_pnl) ON COMMIT DROP;
CREATE TEMPORARY TABLE ledger_stops_new (LIKE ledger_stops) ON COMMIT DROP;

SELECT count(*) AS plain FROM plain
