-- Reconciliation: what is known of a break over time, what every run compared, the report, and seals on stored rows.

-- Breaks ---------------------------------------------------------------------------------------------

ALTER TABLE recon_breaks
    ADD COLUMN delta_base numeric,
    ADD COLUMN is_material boolean NOT NULL DEFAULT true,
    ADD COLUMN explained_amount numeric,
    ADD COLUMN rule text COLLATE "C",
    ADD COLUMN follows jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN owner text,
    ADD COLUMN note text,
    ADD COLUMN accepted_until date,
    ADD COLUMN closed_by text;
COMMENT ON COLUMN recon_breaks.delta_base IS 'delta in the base currency of the account, where a rate is known.';
COMMENT ON COLUMN recon_breaks.is_material IS 'False where delta_base is below the larger of 1.00 and a millionth of the net value.';
COMMENT ON COLUMN recon_breaks.explained_amount IS 'How much of delta a rule or a person accounts for; all of it in state EXPLAINED.';
COMMENT ON COLUMN recon_breaks.rule IS 'The named rule that explains the break.';
COMMENT ON COLUMN recon_breaks.follows IS 'The breaks that this one follows from: with them set right it agrees.';
CREATE INDEX recon_breaks_by_date ON recon_breaks (business_date, account_id);

CREATE TABLE recon_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_date date NOT NULL,
    to_date date NOT NULL,
    made_by text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);
COMMENT ON TABLE recon_runs IS 'One run of all checks over a range of days.';

CREATE TABLE recon_changes (
    change_uid text COLLATE "C" PRIMARY KEY,
    break_uid text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    from_state text COLLATE "C",
    to_state text COLLATE "C" NOT NULL,
    from_delta numeric,
    to_delta numeric,
    changed_by text NOT NULL,
    reason text,
    run_id bigint REFERENCES recon_runs
);
COMMENT ON TABLE recon_changes IS 'Every time that a break opened, closed, was explained, accepted or changed its amount. Never rewritten.';
CREATE INDEX recon_changes_by_break ON recon_changes (break_uid);
CREATE INDEX recon_changes_by_run ON recon_changes (run_id);
CREATE TRIGGER keep_history BEFORE UPDATE OR DELETE OR TRUNCATE ON recon_changes
    FOR EACH STATEMENT EXECUTE FUNCTION keep_history();

CREATE TABLE recon_results (
    check_name text COLLATE "C" NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    compared bigint NOT NULL,
    PRIMARY KEY (check_name, broker, account_id, business_date)
);
COMMENT ON TABLE recon_results IS 'How many things each check compared by account and day, in the newest run of that day; a day that is not here was skipped.';
CREATE INDEX recon_results_by_date ON recon_results (business_date);

CREATE TABLE reconciliation_report (
    business_date date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    checks bigint NOT NULL,
    compared bigint NOT NULL,
    matched bigint NOT NULL,
    open_errors bigint NOT NULL,
    open_warnings bigint NOT NULL,
    explained bigint NOT NULL,
    accepted bigint NOT NULL,
    oldest_age_bd bigint,
    opened bigint NOT NULL,
    closed bigint NOT NULL,
    PRIMARY KEY (business_date, broker, account_id)
);
COMMENT ON TABLE reconciliation_report IS 'Every account and day: what was compared, what agrees, what does not, and what changed with the last run.';

-- Seals ----------------------------------------------------------------------------------------------
-- A stage seals the account-days that it wrote: how many rows there are and the sum of their digests. What is changed
-- beside the stages breaks the seal. Triggers note what a stage wrote, in a temporary table of its transaction.

CREATE TABLE sealed_tables (
    table_name text COLLATE "C" PRIMARY KEY,
    account_of text NOT NULL,
    day_of text NOT NULL,
    is_raw boolean NOT NULL
);
COMMENT ON TABLE sealed_tables IS 'Tables that only stages write, and the columns (or constants) that say the account and the day of a row.';

CREATE TABLE seals (
    table_name text COLLATE "C" NOT NULL REFERENCES sealed_tables,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    rows bigint NOT NULL,
    digest numeric NOT NULL,
    PRIMARY KEY (table_name, account_id, business_date)
);
COMMENT ON TABLE seals IS 'The rows of an account-day as the stage left them that wrote them last.';
CREATE INDEX seals_by_date ON seals (business_date);

CREATE FUNCTION rows_sealed(name text, first date, last date)
RETURNS TABLE (account_id text, business_date date, rows bigint, digest numeric) LANGUAGE plpgsql STABLE AS $$
DECLARE it sealed_tables;
BEGIN
    SELECT * INTO STRICT it FROM sealed_tables WHERE table_name = name;
    RETURN QUERY EXECUTE format(
        'SELECT %1$s, %2$s, count(*), sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint) FROM %3$I t '
        'WHERE %2$s BETWEEN $1 AND $2 GROUP BY 1, 2', it.account_of, it.day_of, name)
    USING first, last;
END $$;

CREATE FUNCTION sealed_rows(name text, account text, day date) RETURNS SETOF jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE it sealed_tables;
BEGIN
    SELECT * INTO STRICT it FROM sealed_tables WHERE table_name = name;
    RETURN QUERY EXECUTE format('SELECT to_jsonb(t) FROM %1$I t WHERE %2$s = $1 AND %3$s = $2', name, it.account_of, it.day_of)
    USING account, day;
END $$;

CREATE FUNCTION rows_written_last(name text, account text, day date) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE it sealed_tables; found jsonb;
BEGIN
    SELECT * INTO STRICT it FROM sealed_tables WHERE table_name = name;
    EXECUTE format(
        'SELECT jsonb_agg(to_jsonb(t)) FROM (SELECT t.* FROM %1$I t WHERE %2$s = $1 AND %3$s = $2 ORDER BY age(t.xmin) LIMIT 3) AS t',
        name, it.account_of, it.day_of) USING account, day INTO found;
    RETURN found;
END $$;

CREATE FUNCTION seal_written() RETURNS void LANGUAGE plpgsql AS $$
DECLARE it sealed_tables;
BEGIN
    FOR it IN SELECT s.* FROM sealed_tables s WHERE s.table_name IN (SELECT w.table_name FROM written_days w)
    LOOP
        EXECUTE format($seal$
            WITH due AS (
                SELECT account_id, business_date FROM written_days WHERE table_name = %1$L
            ), present AS (
                SELECT %2$s AS account_id, %3$s AS business_date, count(*) AS rows,
                       sum(('x' || left(md5(t::text), 15))::bit(60)::bigint) AS digest
                FROM %1$I t WHERE (%2$s, %3$s) IN (SELECT account_id, business_date FROM due) GROUP BY 1, 2
            )
            INSERT INTO seals
            SELECT %1$L, due.account_id, due.business_date, coalesce(p.rows, 0), coalesce(p.digest, 0)
            FROM due LEFT JOIN present p USING (account_id, business_date)
            ON CONFLICT (table_name, account_id, business_date) DO UPDATE SET rows = EXCLUDED.rows, digest = EXCLUDED.digest
            WHERE (seals.rows, seals.digest) IS DISTINCT FROM (EXCLUDED.rows, EXCLUDED.digest)
        $seal$, it.table_name, it.account_of, it.day_of);
    END LOOP;
    TRUNCATE written_days;
END $$;

-- As the end of a transaction does, for a part of one.
CREATE FUNCTION drop_temporary_tables() RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'
    LOOP
        EXECUTE format('DROP TABLE pg_temp.%I', name);
    END LOOP;
END $$;

-- For migrations that change a sealed table: what stands in it then is taken as written.
CREATE FUNCTION seal_all(name text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM seals WHERE table_name = name;
    INSERT INTO seals SELECT name, s.* FROM rows_sealed(name, '-infinity', 'infinity') AS s;
$$;

CREATE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE it sealed_tables;
BEGIN
    SELECT * INTO STRICT it FROM sealed_tables WHERE table_name = TG_TABLE_NAME;
    EXECUTE format('INSERT INTO written_days SELECT DISTINCT %L, %s, %s FROM changed ON CONFLICT DO NOTHING',
                   it.table_name, it.account_of, it.day_of);
    RETURN NULL;
END $$;

CREATE FUNCTION note_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE it sealed_tables;
BEGIN
    SELECT * INTO STRICT it FROM sealed_tables WHERE table_name = TG_TABLE_NAME;
    EXECUTE format('INSERT INTO written_days SELECT %1$L, %2$s, %3$s FROM before UNION SELECT %1$L, %2$s, %3$s FROM changed '
                   'ON CONFLICT DO NOTHING', it.table_name, it.account_of, it.day_of);
    RETURN NULL;
END $$;

CREATE PROCEDURE seal_table(name text, account_of text, day_of text, is_raw boolean) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sealed_tables VALUES (name, account_of, day_of, is_raw);
    EXECUTE format($ddl$
        CREATE TRIGGER note_inserted AFTER INSERT ON %1$I REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT WHEN (current_setting('apex.stage', true) = 'on') EXECUTE FUNCTION note_written();
        CREATE TRIGGER note_updated AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS before NEW TABLE AS changed
            FOR EACH STATEMENT WHEN (current_setting('apex.stage', true) = 'on') EXECUTE FUNCTION note_rewritten();
        CREATE TRIGGER note_deleted AFTER DELETE ON %1$I REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT WHEN (current_setting('apex.stage', true) = 'on') EXECUTE FUNCTION note_written();
    $ddl$, name);
    PERFORM seal_all(name);
END $$;

DO $$
DECLARE it record;
BEGIN
    FOR it IN SELECT * FROM (VALUES
        ('orders_raw_futu', 'business_date'), ('trades_raw_futu', 'business_date'), ('fees_raw_futu', 'business_date'),
        ('positions_raw_futu', 'business_date'), ('balances_raw_futu', 'business_date'), ('cash_raw_futu', 'business_date'),
        ('orders_raw_ib', 'business_date'), ('trades_raw_ib', 'business_date'), ('fees_raw_ib', 'business_date'),
        ('positions_raw_ib', 'business_date'), ('balances_raw_ib', 'business_date'), ('cash_raw_ib', 'business_date'),
        ('sections_raw_ib', 'business_date'), ('provisional_raw_ib', 'business_date'),
        ('orders_norm', 'trade_date'), ('trades_norm', 'trade_date'), ('fees_norm', 'charged_on'),
        ('cash_movements', 'booked_on'), ('broker_positions', 'business_date'), ('broker_balances', 'business_date'),
        ('broker_trade_figures', 'business_date'), ('broker_lots', 'business_date'), ('broker_closed_lots', 'business_date'),
        ('broker_figures', 'business_date'), ('broker_funds', 'business_date'), ('corporate_actions', 'business_date'),
        ('transfers', 'business_date'), ('conversion_rates', 'business_date'), ('dividend_accruals', 'business_date'),
        ('option_events', 'business_date'), ('position_movements', 'business_date'), ('lots', 'started_on'),
        ('lot_moves', 'moved_on'), ('realized_pnl', 'closed_on'), ('ledger_stops', 'business_date'),
        ('positions_daily', 'business_date'), ('position_events', 'business_date'), ('cash_ledger', 'booked_on'),
        ('cash_account_state', 'as_of'), ('settlement_tracking', 'trade_date'), ('day_trades', 'trade_date'),
        ('performance_metrics', 'business_date'), ('order_strategy_map', 'trade_date'), ('strategies', 'trade_date'),
        ('strategy_chains', 'opened_on'), ('chain_gains', 'closed_on')
    ) AS sealed (name, day_of)
    LOOP
        CALL seal_table(it.name, 'account_id', it.day_of, it.name LIKE '%\_raw\_%');
    END LOOP;
    CALL seal_table('instruments', '''''', 'DATE ''1970-01-01''', false);
END $$;

-- What was received ----------------------------------------------------------------------------------

ALTER TABLE raw_documents ADD COLUMN content_digest bytea;
ALTER TABLE raw_documents DISABLE TRIGGER refuse_removal;
UPDATE raw_documents SET content_digest = sha256(content);
ALTER TABLE raw_documents ENABLE TRIGGER refuse_removal;
ALTER TABLE raw_documents ALTER COLUMN content_digest SET NOT NULL;
COMMENT ON COLUMN raw_documents.content_digest IS 'SHA-256 of content as it is stored, which a check takes again.';
CREATE FUNCTION digest_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.content_digest := sha256(NEW.content);
    RETURN NEW;
END $$;
CREATE TRIGGER digest_content BEFORE INSERT ON raw_documents FOR EACH ROW EXECUTE FUNCTION digest_content();
