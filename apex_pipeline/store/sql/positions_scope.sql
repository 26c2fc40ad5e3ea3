-- The instruments whose positions are written again, each from its day on: those that were matched, and those with
-- openings if days before all stored ones became known. Returns the first day of all.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_days (
    account_id text COLLATE "C", on_date date, known boolean NOT NULL, stored boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS position_scope (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date NOT NULL,
    held_uid text COLLATE "C", held_qty numeric, lot_qty numeric, cost numeric, unknown_qty numeric,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
TRUNCATE position_scope;
SET LOCAL work_mem = '128MB';
INSERT INTO position_scope (account_id, instrument_id, broker, from_day)
WITH early AS (
    SELECT DISTINCT ON (account_id) account_id, on_date, stored FROM position_days WHERE known
    ORDER BY account_id, on_date
)
SELECT account_id, instrument_id, min(broker), min(from_day) FROM (
    SELECT account_id COLLATE "C" AS account_id, instrument_id COLLATE "C" AS instrument_id,
           broker COLLATE "C" AS broker, from_day FROM touched WHERE %(matched)s
    UNION ALL
    SELECT o.account_id, o.instrument_id, o.broker, e.on_date
    FROM early e JOIN opening_balances o ON o.account_id = e.account_id AND o.opened_on < e.on_date
    WHERE NOT e.stored) AS due
GROUP BY 1, 2;
ANALYZE position_scope;
SELECT min(from_day) AS since FROM position_scope
