-- The movements of some instruments of an account from the day on which each begins again.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
SELECT m.* FROM touched t JOIN position_movements m USING (account_id, instrument_id)
WHERE t.account_id = %(account_id)s AND t.instrument_id = ANY (%(instruments)s) AND m.business_date >= t.from_day
