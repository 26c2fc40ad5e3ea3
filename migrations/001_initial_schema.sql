-- The raw record, the normalized rows, strategies, breaks, and the bookkeeping of loads.
-- Plain SQL and plpgsql only, PostgreSQL 15 or newer. Ids are COLLATE "C": they are compared, never sorted for people.

-- What the brokers sent ---------------------------------------------------------------------------

CREATE TABLE raw_documents (
    document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 text COLLATE "C" NOT NULL UNIQUE,
    media_type text NOT NULL,
    byte_size bigint NOT NULL,
    content bytea NOT NULL,
    first_received_at timestamptz NOT NULL
);
COMMENT ON TABLE raw_documents IS 'Exact bytes received, zlib-compressed, once per distinct content.';
-- The content is compressed already; a second compression by TOAST would only cost time.
ALTER TABLE raw_documents ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE load_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text COLLATE "C" CHECK (outcome IN ('DONE', 'INCOMPLETE'))
);
COMMENT ON TABLE load_runs IS 'One extraction; a run without an end was interrupted, and the next one continues it.';

CREATE TABLE loads (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES load_runs,
    broker text COLLATE "C" NOT NULL,
    data_type text COLLATE "C" NOT NULL,
    account_id text COLLATE "C",
    market text COLLATE "C" NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('COMPLETE', 'FAILED')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    records bigint NOT NULL DEFAULT 0,
    new_versions bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    error text,
    notes text[] NOT NULL DEFAULT '{}',
    CHECK (records = new_versions + unchanged + superseded + quarantined)
);
COMMENT ON TABLE loads IS 'One call to a broker and what it brought; written in the transaction of its data.';
CREATE INDEX loads_by_time ON loads (broker, finished_at);

CREATE TABLE load_coverage (
    load_id bigint NOT NULL REFERENCES loads,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    data_type text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL CHECK (to_date >= from_date),
    records bigint NOT NULL,
    covered_at timestamptz NOT NULL,
    PRIMARY KEY (load_id, account_id, data_type, market, from_date)
);
COMMENT ON TABLE load_coverage IS 'Days of which a broker has told everything; the truth of completeness.';
CREATE INDEX load_coverage_by_account ON load_coverage (broker, account_id, data_type, market, from_date);

CREATE TABLE raw_observations (
    observation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    load_id bigint NOT NULL REFERENCES loads,
    document_id bigint NOT NULL REFERENCES raw_documents,
    broker text COLLATE "C" NOT NULL,
    interface text COLLATE "C" NOT NULL,
    request jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    generated_at timestamptz
);
COMMENT ON TABLE raw_observations IS 'One row per answer received, also when its bytes were known already.';
CREATE INDEX raw_observations_by_document ON raw_observations (document_id);

CREATE TABLE raw_versions (
    version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    record_key text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    payload jsonb NOT NULL,
    fetched_at timestamptz NOT NULL,
    generated_at timestamptz,
    load_id bigint NOT NULL,
    superseded_at timestamptz NOT NULL
);
COMMENT ON TABLE raw_versions IS 'Every earlier version of a raw record; the current one is in its raw table.';
CREATE INDEX raw_versions_by_record ON raw_versions (table_name, account_id, record_key);

CREATE TABLE dirty_days (
    stage text COLLATE "C" NOT NULL CHECK (stage IN ('normalize', 'classify', 'reconcile')),
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    PRIMARY KEY (stage, broker, account_id, business_date)
);
COMMENT ON TABLE dirty_days IS 'Days whose input changed since a stage last ran; written with the change, removed with the result.';

CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'raw rows are kept for good: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.account_id <> OLD.account_id OR NEW.record_key <> OLD.record_key THEN
        RAISE EXCEPTION 'the identity of a raw record cannot change (% %)', OLD.account_id, OLD.record_key
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.payload IS DISTINCT FROM OLD.payload THEN
        INSERT INTO raw_versions (table_name, account_id, record_key, business_date, payload, fetched_at,
                                  generated_at, load_id, superseded_at)
        VALUES (TG_TABLE_NAME, OLD.account_id, OLD.record_key, OLD.business_date, OLD.payload, OLD.fetched_at,
                OLD.generated_at, OLD.load_id, NEW.fetched_at);
    END IF;
    IF NEW.business_date <> OLD.business_date THEN
        INSERT INTO dirty_days VALUES ('normalize', TG_ARGV[0], OLD.account_id, OLD.business_date)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE raw record;
BEGIN
    FOR raw IN SELECT kind || '_raw_' || lower(broker) AS name, broker
               FROM unnest(ARRAY['orders', 'trades', 'fees']) AS kind, unnest(ARRAY['FUTU', 'IB']) AS broker
    LOOP
        EXECUTE format($ddl$
            CREATE TABLE %1$I (
                account_id text COLLATE "C" NOT NULL,
                record_key text COLLATE "C" NOT NULL,
                order_id text COLLATE "C",
                business_date date NOT NULL,
                payload jsonb NOT NULL,
                fetched_at timestamptz NOT NULL,
                generated_at timestamptz,
                load_id bigint NOT NULL REFERENCES loads,
                PRIMARY KEY (account_id, record_key)
            );
            CREATE INDEX %2$I ON %1$I (business_date);
            CREATE INDEX %3$I ON %1$I (account_id, order_id);
            CREATE TRIGGER keep_version BEFORE UPDATE ON %1$I FOR EACH ROW EXECUTE FUNCTION keep_version(%4$L);
            CREATE TRIGGER refuse_removal BEFORE DELETE OR TRUNCATE ON %1$I FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
        $ddl$, raw.name, raw.name || '_by_date', raw.name || '_by_order', raw.broker);
    END LOOP;
END $$;

CREATE TRIGGER refuse_removal BEFORE UPDATE OR DELETE OR TRUNCATE ON raw_documents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER refuse_removal BEFORE UPDATE OR DELETE OR TRUNCATE ON raw_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER refuse_removal BEFORE UPDATE OR DELETE OR TRUNCATE ON raw_observations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

CREATE VIEW raw_records AS
    SELECT 'FUTU' AS broker, 'orders' AS kind, r.* FROM orders_raw_futu r
    UNION ALL SELECT 'FUTU', 'trades', r.* FROM trades_raw_futu r
    UNION ALL SELECT 'FUTU', 'fees', r.* FROM fees_raw_futu r
    UNION ALL SELECT 'IB', 'orders', r.* FROM orders_raw_ib r
    UNION ALL SELECT 'IB', 'trades', r.* FROM trades_raw_ib r
    UNION ALL SELECT 'IB', 'fees', r.* FROM fees_raw_ib r;
COMMENT ON VIEW raw_records IS 'The current version of every raw record of every broker.';

CREATE TABLE quarantine (
    quarantine_uid text COLLATE "C" PRIMARY KEY,
    stage text COLLATE "C" NOT NULL CHECK (stage IN ('ingest', 'normalize')),
    broker text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    account_id text COLLATE "C",
    broker_key text COLLATE "C",
    business_date date,
    reason_code text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    payload jsonb NOT NULL,
    load_id bigint REFERENCES loads,
    first_seen_at timestamptz NOT NULL,
    resolved_at timestamptz
);
COMMENT ON TABLE quarantine IS 'Records that no rule could read, with the reason; resolved when a later version or rule reads them.';
CREATE INDEX quarantine_open ON quarantine (broker, kind, account_id, broker_key) WHERE resolved_at IS NULL;

CREATE TABLE sync_state (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    data_type text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    last_sync_at timestamptz NOT NULL,
    last_record_at timestamptz,
    status text COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (broker, account_id, data_type, market)
);
COMMENT ON TABLE sync_state IS 'Watermarks; moved in the transaction of the data they speak of.';

CREATE TABLE rate_grants (
    budget text COLLATE "C" NOT NULL,
    granted_at timestamptz NOT NULL
);
COMMENT ON TABLE rate_grants IS 'Requests granted within the current window of each broker budget, shared by all processes.';
CREATE INDEX rate_grants_by_budget ON rate_grants (budget, granted_at);

-- What it means ------------------------------------------------------------------------------------

CREATE TABLE instruments (
    symbol text COLLATE "C" PRIMARY KEY,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    strike numeric,
    expiry date,
    option_right text COLLATE "C",
    multiplier numeric,
    currency text COLLATE "C",
    exchange text COLLATE "C",
    name text,
    futu_code text COLLATE "C",
    ib_symbol text COLLATE "C",
    ib_conid text COLLATE "C"
);
CREATE INDEX instruments_by_underlying ON instruments (underlying);

CREATE TABLE orders_norm (
    order_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    broker_order_id text COLLATE "C" NOT NULL,
    market text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    side text COLLATE "C" CHECK (side IN ('BUY', 'SELL')),
    position_effect text COLLATE "C",
    order_type text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    broker_status text COLLATE "C",
    qty numeric CHECK (qty >= 0 AND qty < 'Infinity'),
    filled_qty numeric CHECK (filled_qty >= 0 AND filled_qty < 'Infinity'),
    limit_price numeric CHECK (limit_price <> 'NaN' AND abs(limit_price) < 'Infinity'),
    avg_price numeric CHECK (avg_price <> 'NaN' AND abs(avg_price) < 'Infinity'),
    currency text COLLATE "C",
    multiplier numeric,
    created_at timestamptz,
    updated_at timestamptz,
    trade_date date NOT NULL,
    combo_id text COLLATE "C",
    legs jsonb,
    declared_strategy text COLLATE "C",
    remark text
);
CREATE INDEX orders_norm_by_date ON orders_norm (trade_date);
CREATE INDEX orders_norm_by_underlying ON orders_norm (account_id, underlying, trade_date);

CREATE TABLE trades_norm (
    trade_uid text COLLATE "C" PRIMARY KEY,
    order_uid text COLLATE "C",
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    broker_trade_id text COLLATE "C" NOT NULL,
    exec_id text COLLATE "C",
    market text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    effective boolean NOT NULL,
    side text COLLATE "C" NOT NULL CHECK (side IN ('BUY', 'SELL')),
    qty numeric NOT NULL CHECK (qty >= 0 AND qty < 'Infinity'),
    price numeric NOT NULL CHECK (price <> 'NaN' AND abs(price) < 'Infinity'),
    multiplier numeric,
    amount numeric CHECK (amount <> 'NaN' AND abs(amount) < 'Infinity'),
    currency text COLLATE "C",
    executed_at timestamptz,
    trade_date date NOT NULL,
    settle_date date,
    position_effect text COLLATE "C",
    link_id text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
CREATE INDEX trades_norm_by_date ON trades_norm (trade_date);
CREATE INDEX trades_norm_by_order ON trades_norm (order_uid);
CREATE INDEX trades_norm_by_broker_id ON trades_norm (broker, account_id, broker_trade_id);

CREATE TABLE fees_norm (
    fee_uid text COLLATE "C" PRIMARY KEY,
    order_uid text COLLATE "C",
    trade_uid text COLLATE "C",
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    fee_type text COLLATE "C" NOT NULL,
    broker_fee_name text NOT NULL,
    amount numeric NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 'Infinity'),
    currency text COLLATE "C",
    charged_on date NOT NULL
);
CREATE INDEX fees_norm_by_date ON fees_norm (charged_on);
CREATE INDEX fees_norm_by_order ON fees_norm (order_uid);

CREATE TABLE order_strategy_map (
    order_uid text COLLATE "C" NOT NULL,
    strategy_uid text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    trade_date date NOT NULL,
    strategy_type text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL CHECK (action IN ('OPEN', 'CLOSE', 'ROLL', 'ADJUST')),
    leg_role text COLLATE "C",
    qty_in_strategy numeric NOT NULL,
    confidence numeric NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    method text COLLATE "C" NOT NULL,
    classifier_version text COLLATE "C" NOT NULL,
    evidence jsonb NOT NULL,
    alternatives jsonb NOT NULL,
    chain_uid text COLLATE "C",
    PRIMARY KEY (order_uid, strategy_uid)
);
CREATE INDEX order_strategy_map_by_date ON order_strategy_map (trade_date);
CREATE INDEX order_strategy_map_by_account ON order_strategy_map (account_id);

CREATE TABLE recon_breaks (
    break_uid text COLLATE "C" PRIMARY KEY,
    check_name text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('ERROR', 'WARN', 'INFO')),
    broker text COLLATE "C",
    account_id text COLLATE "C",
    subject text COLLATE "C" NOT NULL,
    business_date date,
    expected numeric,
    actual numeric,
    delta numeric,
    currency text COLLATE "C",
    state text COLLATE "C" NOT NULL CHECK (state IN ('OPEN', 'EXPLAINED', 'ACCEPTED', 'CLOSED')),
    cause text COLLATE "C",
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    age_bd bigint,
    evidence jsonb NOT NULL
);
CREATE INDEX recon_breaks_open ON recon_breaks (check_name, business_date) WHERE state <> 'CLOSED';
