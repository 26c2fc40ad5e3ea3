-- The touched instruments that need every rule, with their number of movements, and for each of their links the
-- instruments that it joins.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS plain (
    instrument integer, account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C", from_day date
) ON COMMIT DROP;
SELECT t.account_id, t.instrument_id, count(m.movement_uid) AS movements,
    coalesce(array_agg(DISTINCT m.link_id) FILTER (WHERE m.link_id IS NOT NULL), '{}') AS links
FROM touched t
LEFT JOIN position_movements m ON m.account_id = t.account_id AND m.instrument_id = t.instrument_id
    AND m.business_date >= t.from_day
WHERE NOT EXISTS (SELECT FROM plain p WHERE p.account_id = t.account_id AND p.instrument_id = t.instrument_id)
GROUP BY t.account_id, t.instrument_id ORDER BY t.account_id, t.instrument_id
