-- The state of a live engine (what it holds, is worth, has signalled, and which of its processes leads), what it and its
-- analysts write (risk, backtests, events, research), and the other names of tables.

-- Positions of an engine's own book, one row each, from entry to exit. Every write raises the version by one.
CREATE TABLE portfolio_positions (
    position_id text COLLATE "C" PRIMARY KEY,
    instrument text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed', 'partial')),
    rollover_status text COLLATE "C" NOT NULL DEFAULT 'none'
        CHECK (rollover_status IN ('none', 'pending', 'in_progress', 'rolled', 'failed')),
    is_base_position boolean NOT NULL DEFAULT false,
    side text COLLATE "C" NOT NULL DEFAULT 'BUY' CHECK (side IN ('BUY', 'SELL')),
    entry_price numeric CHECK (entry_price <> 'NaN' AND abs(entry_price) < 'Infinity'),
    lots numeric CHECK (lots <> 'NaN' AND abs(lots) < 'Infinity'),
    multiplier numeric NOT NULL DEFAULT 1 CHECK (multiplier <> 'NaN' AND abs(multiplier) < 'Infinity'),
    entry_timestamp timestamptz,
    current_stop numeric CHECK (current_stop <> 'NaN' AND abs(current_stop) < 'Infinity'),
    limiter text COLLATE "C",
    unrealized_pnl numeric CHECK (unrealized_pnl <> 'NaN' AND abs(unrealized_pnl) < 'Infinity'),
    exit_price numeric CHECK (exit_price <> 'NaN' AND abs(exit_price) < 'Infinity'),
    exit_timestamp timestamptz,
    exit_reason text,
    realized_pnl numeric CHECK (realized_pnl <> 'NaN' AND abs(realized_pnl) < 'Infinity'),
    payload jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE portfolio_positions IS 'Positions as a live engine keeps them; its own book, not the record of the brokers (positions, positions_daily).';
COMMENT ON COLUMN portfolio_positions.lots IS 'How many lots are held, of side: positive.';
COMMENT ON COLUMN portfolio_positions.multiplier IS 'What one point of the price is worth for one lot.';
COMMENT ON COLUMN portfolio_positions.limiter IS 'What kept the position from being larger: RISK, MARGIN, VOLATILITY, … as the engine names it.';
COMMENT ON COLUMN portfolio_positions.payload IS 'Whatever else the engine wants to find again.';
CREATE INDEX portfolio_positions_open ON portfolio_positions (instrument) WHERE status <> 'closed';

CREATE TABLE portfolio_state (
    id bigint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    initial_capital numeric NOT NULL CHECK (initial_capital <> 'NaN' AND abs(initial_capital) < 'Infinity'),
    closed_equity numeric NOT NULL CHECK (closed_equity <> 'NaN' AND abs(closed_equity) < 'Infinity'),
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE portfolio_state IS 'One row: the capital that an engine began with, and that capital with everything it has realized since.';

CREATE TABLE pyramiding_state (
    instrument text COLLATE "C" PRIMARY KEY,
    last_pyramid_price numeric CHECK (last_pyramid_price <> 'NaN' AND abs(last_pyramid_price) < 'Infinity'),
    base_position_id text COLLATE "C" REFERENCES portfolio_positions (position_id) ON DELETE SET NULL,
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pyramiding_state IS 'Where an engine added to an instrument last, and the position that it began with.';
CREATE INDEX pyramiding_state_by_base ON pyramiding_state (base_position_id);

CREATE TABLE signal_log (
    signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint text COLLATE "C" NOT NULL UNIQUE,
    signal_type text COLLATE "C" NOT NULL,
    instrument text COLLATE "C",
    payload jsonb NOT NULL DEFAULT '{}',
    status text COLLATE "C" NOT NULL DEFAULT 'RECEIVED',
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    instance_id text COLLATE "C"
);
COMMENT ON TABLE signal_log IS 'Signals that an engine received, each once: a second one of the same fingerprint is refused.';
COMMENT ON COLUMN signal_log.signal_type IS 'BASE_ENTRY, PYRAMID, EXIT, or another word of the engine.';
CREATE INDEX signal_log_by_time ON signal_log (received_at);
CREATE INDEX signal_log_by_instrument ON signal_log (instrument, received_at);

-- Removes signals that were received before `older_than` ago, and says how many. A signal of before is then new again.
CREATE FUNCTION cleanup_signal_log(older_than interval DEFAULT '7 days') RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM signal_log WHERE received_at < clock_timestamp() - older_than RETURNING 1)
    SELECT count(*) FROM gone
$$;

CREATE TABLE instance_metadata (
    instance_id text COLLATE "C" PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_heartbeat timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_leader boolean NOT NULL DEFAULT false,
    lease_expires_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    CHECK (NOT is_leader OR lease_expires_at IS NOT NULL)
);
COMMENT ON TABLE instance_metadata IS 'Processes of an engine. One leads, until its lease ends; it renews the lease with its heartbeat.';
CREATE INDEX instance_metadata_by_heartbeat ON instance_metadata (last_heartbeat);
CREATE UNIQUE INDEX instance_metadata_one_leader ON instance_metadata (is_leader) WHERE is_leader;

-- Every write raises the version, whoever forgets to: a deletion that empties a reference, or a hand in psql. Whoever
-- remembers an older version would never drop it otherwise.
CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER raise_version BEFORE UPDATE ON portfolio_positions FOR EACH ROW EXECUTE FUNCTION raise_version();
CREATE TRIGGER raise_version BEFORE UPDATE ON portfolio_state FOR EACH ROW EXECUTE FUNCTION raise_version();
CREATE TRIGGER raise_version BEFORE UPDATE ON pyramiding_state FOR EACH ROW EXECUTE FUNCTION raise_version();

-- Tells other processes which row changed and to which version, so that they drop what they remember of it.
CREATE FUNCTION tell_state_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('apex_state', concat_ws(' ', TG_TABLE_NAME, OLD.version + 1, to_jsonb(OLD) ->> TG_ARGV[0]));
    ELSE
        PERFORM pg_notify('apex_state', concat_ws(' ', TG_TABLE_NAME, NEW.version, to_jsonb(NEW) ->> TG_ARGV[0]));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE OR DELETE ON portfolio_positions
    FOR EACH ROW EXECUTE FUNCTION tell_state_changed('position_id');
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE OR DELETE ON portfolio_state
    FOR EACH ROW EXECUTE FUNCTION tell_state_changed('id');
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE OR DELETE ON pyramiding_state
    FOR EACH ROW EXECUTE FUNCTION tell_state_changed('instrument');

-- Risk ------------------------------------------------------------------------------------------------------

CREATE TABLE risk_snapshots (
    scope text COLLATE "C" NOT NULL,
    captured_at timestamptz NOT NULL,
    metrics jsonb NOT NULL CHECK (jsonb_typeof(metrics) = 'object'),
    source text COLLATE "C" NOT NULL DEFAULT 'ENGINE',
    PRIMARY KEY (scope, captured_at)
);
COMMENT ON TABLE risk_snapshots IS 'Figures of risk at one moment: of an account, or of everything (scope PORTFOLIO).';
CREATE INDEX risk_snapshots_by_time ON risk_snapshots USING brin (captured_at);
CREATE INDEX risk_snapshots_of_limits ON risk_snapshots (scope, captured_at) WHERE source = 'LIMITS';

CREATE TABLE risk_signals (
    signal_uid text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    signal_type text COLLATE "C" NOT NULL,
    level text COLLATE "C" NOT NULL CHECK (level IN ('WARNING', 'BREACH')),
    metric text COLLATE "C" NOT NULL,
    value numeric CHECK (value <> 'NaN' AND abs(value) < 'Infinity'),
    threshold numeric CHECK (threshold <> 'NaN' AND abs(threshold) < 'Infinity'),
    scope text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL DEFAULT 'ENGINE',
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    payload jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE risk_signals IS 'Limits that were passed: computed from the limits of the settings (source LIMITS), or written by an engine.';
COMMENT ON COLUMN risk_signals.value IS 'What the metric was when the signal was raised, or rose to its level.';
CREATE INDEX risk_signals_by_type ON risk_signals (signal_type, raised_at);
CREATE INDEX risk_signals_by_time ON risk_signals (raised_at);
CREATE INDEX risk_signals_unresolved ON risk_signals (raised_at) WHERE resolved_at IS NULL;
CREATE UNIQUE INDEX risk_signals_standing ON risk_signals (metric, scope) WHERE source = 'LIMITS' AND resolved_at IS NULL;

-- What engines and analysts found --------------------------------------------------------------------------

CREATE TABLE backtests (
    backtest_uid text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    strategy text COLLATE "C" NOT NULL,
    started_on date NOT NULL,
    ended_on date NOT NULL CHECK (ended_on >= started_on),
    parameters jsonb NOT NULL DEFAULT '{}',
    total_return numeric CHECK (total_return <> 'NaN' AND abs(total_return) < 'Infinity'),
    sharpe numeric CHECK (sharpe <> 'NaN' AND abs(sharpe) < 'Infinity'),
    max_drawdown numeric CHECK (max_drawdown <> 'NaN' AND abs(max_drawdown) < 'Infinity'),
    metrics jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE backtests IS 'Results of backtests; returns and drawdown are fractions (0.01 is 1 %), a drawdown is negative or zero.';
CREATE INDEX backtests_by_strategy ON backtests (strategy, created_at);

CREATE TABLE system_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')),
    message text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE system_events IS 'What happened in an engine or service, for whoever looks at it later.';
CREATE INDEX system_events_by_time ON system_events (occurred_at);
CREATE INDEX system_events_by_severity ON system_events (severity, occurred_at);

CREATE TABLE llm_analysis_log (
    call_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    called_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    model text COLLATE "C" NOT NULL,
    prompt text NOT NULL,
    response text,
    tokens bigint,
    cost numeric CHECK (cost <> 'NaN' AND abs(cost) < 'Infinity'),
    latency_ms bigint,
    error text
);
COMMENT ON TABLE llm_analysis_log IS 'Questions to language models and their answers; cost in USD.';
CREATE INDEX llm_analysis_log_by_time ON llm_analysis_log (called_at);

CREATE TABLE research_records (
    record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN (
        'TWEET', 'TWEET_SENTIMENT', 'REDDIT_POST', 'REDDIT_SENTIMENT', 'SYMBOL_SENTIMENT', 'AGGREGATED_SENTIMENT',
        'CONFLUENCE_SCORE', 'OPTIONS_FLOW', 'OPTIONS_PATTERN')),
    symbol text COLLATE "C",
    source text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    fingerprint text COLLATE "C" NOT NULL UNIQUE,
    payload jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE research_records IS 'Rows from outside (posts, sentiment, options flow, scores) as their source told them, each once.';
COMMENT ON COLUMN research_records.at IS 'When the source says that it happened.';
CREATE INDEX research_records_by_symbol ON research_records (symbol, kind, at);
CREATE INDEX research_records_by_time ON research_records (kind, at);

-- Named questions, by index whatever there is ----------------------------------------------------------------

CREATE INDEX orders_norm_by_broker_id ON orders_norm (broker_order_id);
CREATE INDEX orders_norm_by_account ON orders_norm (account_id, trade_date);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX trades_norm_by_broker_id;
CREATE INDEX trades_norm_by_broker_id ON trades_norm (broker_trade_id, account_id, broker);
CREATE INDEX trades_norm_by_account ON trades_norm (account_id, trade_date);
CREATE INDEX trades_norm_by_execution ON trades_norm (exec_id) WHERE exec_id IS NOT NULL;
CREATE INDEX trades_norm_of_options ON trades_norm (underlying, trade_date)
    WHERE asset_class IN ('OPTION', 'FUTURE_OPTION');
CREATE INDEX fees_norm_by_account ON fees_norm (account_id, charged_on);
CREATE INDEX provisional_raw_ib_by_perm_id ON provisional_raw_ib ((payload ->> 'permId'));
CREATE INDEX round_trips_by_end ON round_trips
    (coalesce(exit_at, entry_at) DESC NULLS LAST, coalesce(exit_date, entry_date) DESC NULLS LAST, trade_id);
CREATE INDEX round_trips_by_symbol ON round_trips
    (symbol, coalesce(exit_at, entry_at) DESC NULLS LAST, coalesce(exit_date, entry_date) DESC NULLS LAST, trade_id);
CREATE INDEX round_trips_closed ON round_trips (coalesce(exit_date, (exit_at AT TIME ZONE 'UTC')::date))
    WHERE status = 'CLOSED';
CREATE INDEX positions_open ON positions (account_id, symbol, position_id) WHERE status = 'OPEN';
CREATE INDEX positions_by_symbol ON positions (symbol);
CREATE INDEX risk_signals_breaches ON risk_signals ((resolved_at IS NOT NULL), raised_at DESC, signal_uid)
    WHERE level = 'BREACH';
CREATE INDEX backtests_by_sharpe ON backtests (sharpe DESC NULLS LAST, backtest_uid);
CREATE INDEX backtests_by_return ON backtests (total_return DESC NULLS LAST, backtest_uid);
CREATE INDEX backtests_by_drawdown ON backtests (max_drawdown DESC NULLS LAST, backtest_uid);
CREATE INDEX llm_analysis_log_by_model ON llm_analysis_log (model, called_at);
CREATE INDEX research_records_of_symbol ON research_records (symbol, at);
CREATE INDEX research_records_at ON research_records (at);

-- What is known now -----------------------------------------------------------------------------------------

-- The newest snapshot of each account. Accounts are found by steps over the key, so that a year of snapshots costs no
-- more than a day; each step compares one column, which also compressed chunks of TimescaleDB answer from their index.
CREATE VIEW latest_position_snapshots AS
    WITH RECURSIVE brokers AS (
        SELECT min(broker) AS broker FROM position_snapshots
        UNION ALL
        SELECT (SELECT min(p.broker) FROM position_snapshots p WHERE p.broker > b.broker)
        FROM brokers b WHERE b.broker IS NOT NULL
    ), accounts AS (
        SELECT b.broker, (SELECT min(p.account_id) FROM position_snapshots p WHERE p.broker = b.broker) AS account_id
        FROM brokers b WHERE b.broker IS NOT NULL
        UNION ALL
        SELECT a.broker, (SELECT min(p.account_id) FROM position_snapshots p
                          WHERE p.broker = a.broker AND p.account_id > a.account_id)
        FROM accounts a WHERE a.account_id IS NOT NULL
    )
    SELECT newest.* FROM accounts a
    CROSS JOIN LATERAL (SELECT p.* FROM position_snapshots p
                        WHERE p.broker = a.broker AND p.account_id = a.account_id
                        ORDER BY p.captured_at DESC LIMIT 1) AS newest;
COMMENT ON VIEW latest_position_snapshots IS 'The newest positions that were captured of each account.';
CREATE VIEW latest_account_snapshots AS
    WITH RECURSIVE brokers AS (
        SELECT min(broker) AS broker FROM account_snapshots
        UNION ALL
        SELECT (SELECT min(p.broker) FROM account_snapshots p WHERE p.broker > b.broker)
        FROM brokers b WHERE b.broker IS NOT NULL
    ), accounts AS (
        SELECT b.broker, (SELECT min(p.account_id) FROM account_snapshots p WHERE p.broker = b.broker) AS account_id
        FROM brokers b WHERE b.broker IS NOT NULL
        UNION ALL
        SELECT a.broker, (SELECT min(p.account_id) FROM account_snapshots p
                          WHERE p.broker = a.broker AND p.account_id > a.account_id)
        FROM accounts a WHERE a.account_id IS NOT NULL
    )
    SELECT newest.* FROM accounts a
    CROSS JOIN LATERAL (SELECT p.* FROM account_snapshots p
                        WHERE p.broker = a.broker AND p.account_id = a.account_id
                        ORDER BY p.captured_at DESC LIMIT 1) AS newest;
COMMENT ON VIEW latest_account_snapshots IS 'The newest values that were captured of each account.';
CREATE VIEW latest_risk_snapshots AS
    WITH RECURSIVE scopes AS (
        SELECT min(scope) AS scope FROM risk_snapshots
        UNION ALL
        SELECT (SELECT min(r.scope) FROM risk_snapshots r WHERE r.scope > s.scope)
        FROM scopes s WHERE s.scope IS NOT NULL
    )
    SELECT newest.* FROM scopes s
    CROSS JOIN LATERAL (SELECT r.* FROM risk_snapshots r WHERE r.scope = s.scope
                        ORDER BY r.captured_at DESC LIMIT 1) AS newest;
COMMENT ON VIEW latest_risk_snapshots IS 'The newest figures of risk of each account, and of everything.';

-- Bars that nobody wanted: minutes are loaded of the days that something was traded on, and those between are no fault.
-- squawk-ignore ban-drop-constraint
ALTER TABLE ohlcv_gaps DROP CONSTRAINT ohlcv_gaps_reason_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE ohlcv_gaps ADD CONSTRAINT ohlcv_gaps_reason_check
    CHECK (reason IN ('HALT', 'HOLIDAY', 'HALF_DAY', 'NO_TRADE', 'VENDOR', 'NOT_ASKED'));
COMMENT ON COLUMN ohlcv_gaps.reason IS 'HALT: told by somebody. NO_TRADE: the source answered, and had no bar. VENDOR: the source has none to give. NOT_ASKED: nobody wanted these.';

-- Other names that vendors and libraries use for the same exchanges.
INSERT INTO exchange_info VALUES
    ('XNYS', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('XNAS', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('XHKG', 'Asia/Hong_Kong', 'XHKG', 'HKD', NULL, '12:00', '13:00', 10, NULL, NULL),
    ('HKEX', 'Asia/Hong_Kong', 'XHKG', 'HKD', NULL, '12:00', '13:00', 10, NULL, NULL);

-- Other names of the same tables, to read -------------------------------------------------------------------

CREATE VIEW positions_snapshot AS SELECT * FROM position_snapshots;
CREATE VIEW trading_signals AS SELECT * FROM trade_signals;
CREATE VIEW futu_raw_orders AS SELECT * FROM orders_raw_futu;
CREATE VIEW futu_raw_deals AS SELECT * FROM trades_raw_futu;
CREATE VIEW futu_raw_fees AS SELECT * FROM fees_raw_futu;
CREATE VIEW ib_raw_executions AS SELECT * FROM trades_raw_ib;
CREATE VIEW ib_raw_commissions AS SELECT * FROM fees_raw_ib;
CREATE VIEW daily_performance AS SELECT * FROM performance_metrics WHERE period = 'DAY';
CREATE VIEW market_data AS SELECT * FROM ohlcv;
CREATE VIEW trades AS SELECT * FROM round_trips;

-- A view of one table could be written through: these are for reading.
CREATE FUNCTION refuse_to_write_a_view() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is a view to read: write to its table', TG_TABLE_NAME USING ERRCODE = 'read_only_sql_transaction';
END $$;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['positions_snapshot', 'trading_signals', 'futu_raw_orders', 'futu_raw_deals',
        'futu_raw_fees', 'ib_raw_executions', 'ib_raw_commissions', 'daily_performance', 'market_data', 'trades'] LOOP
        EXECUTE format('CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION refuse_to_write_a_view()', name);
    END LOOP;
END $$;
