-- Rows of touched instruments that follow no longer; returns how many of each table.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS lots_new (LIKE lots) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS lot_moves_new (LIKE lot_moves) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS realized_new (LIKE realized_pnl) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS ledger_stops_new (LIKE ledger_stops) ON COMMIT DROP;
CREATE INDEX ON lots_new (lot_uid);
CREATE INDEX ON realized_new (realized_uid);
ANALYZE lots_new (lot_uid);
ANALYZE lot_moves_new (move_uid);
ANALYZE realized_new (realized_uid);
ANALYZE ledger_stops_new (stop_uid);

WITH gone_lots AS (
    -- What began since then is open or was closed since then: by the closing it is found without all that came before.
    DELETE FROM lots x USING (
        SELECT l.lot_uid, t.from_day FROM touched t JOIN lots l USING (account_id, instrument_id) WHERE l.closed_on IS NULL
        UNION ALL
        SELECT l.lot_uid, t.from_day FROM touched t JOIN lots l USING (account_id, instrument_id)
        WHERE l.closed_on >= t.from_day AND l.closed_on >= %(since)s
    ) AS t
    WHERE x.lot_uid = t.lot_uid AND x.started_on >= t.from_day
      AND NOT EXISTS (SELECT FROM lots_new n WHERE n.lot_uid = x.lot_uid) RETURNING 1
), gone_moves AS (
    DELETE FROM lot_moves x USING touched t
    WHERE x.account_id = t.account_id AND x.instrument_id = t.instrument_id AND x.moved_on >= t.from_day
      AND NOT EXISTS (SELECT FROM lot_moves_new n WHERE n.move_uid = x.move_uid) RETURNING 1
), gone_realized AS (
    DELETE FROM realized_pnl x USING touched t
    WHERE x.account_id = t.account_id AND x.instrument_id = t.instrument_id AND x.closed_on >= t.from_day
      AND x.closed_on >= %(since)s
      AND NOT EXISTS (SELECT FROM realized_new n WHERE n.realized_uid = x.realized_uid) RETURNING 1
), gone_stops AS (
    DELETE FROM ledger_stops x USING touched t
    WHERE x.account_id = t.account_id AND x.instrument_id = t.instrument_id AND x.business_date >= t.from_day
      AND NOT EXISTS (SELECT FROM ledger_stops_new n WHERE n.stop_uid = x.stop_uid) RETURNING 1
)
SELECT (SELECT count(*) FROM gone_lots) AS lots, (SELECT count(*) FROM gone_moves) AS lot_moves,
    (SELECT count(*) FROM gone_realized) AS realized_pnl, (SELECT count(*) FROM gone_stops) AS ledger_stops
