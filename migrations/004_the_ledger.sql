-- The ledger: what moves a position, lots and what closing them gained, positions, cash, settlement, rules and value.

-- One more stage is one more word; the table is small.
-- squawk-ignore ban-drop-constraint
ALTER TABLE dirty_days DROP CONSTRAINT dirty_days_stage_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE dirty_days ADD CONSTRAINT dirty_days_stage_check
    CHECK (stage IN ('normalize', 'classify', 'reconcile', 'match', 'value'));

-- What the ledger needs to know of rows that were there before ---------------------------------------

ALTER TABLE trades_norm ADD COLUMN instrument_id text COLLATE "C";
COMMENT ON COLUMN trades_norm.instrument_id IS 'The broker''s own id of the instrument (conid, Futu code): it outlives a change of ticker.';
ALTER TABLE corporate_actions ADD COLUMN kind text COLLATE "C";
ALTER TABLE corporate_actions ADD COLUMN instrument_id text COLLATE "C";
ALTER TABLE transfers ADD COLUMN instrument_id text COLLATE "C";
ALTER TABLE broker_lots ADD COLUMN instrument_id text COLLATE "C";
ALTER TABLE broker_closed_lots ADD COLUMN instrument_id text COLLATE "C";

-- The fees of a trade; the ledger asks for those of every changed day.
CREATE INDEX fees_norm_by_trade ON fees_norm (trade_uid);

CREATE TABLE broker_trade_figures (
    trade_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    proceeds numeric,
    net_cash numeric,
    cost_basis numeric,
    realized_pnl numeric,
    mtm_pnl numeric,
    fx_rate_to_base numeric,
    currency text COLLATE "C",
    position_effect text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE broker_trade_figures IS 'What the broker itself computed for a trade: proceeds, basis, realized P&L. The ledger is compared with it.';
CREATE INDEX broker_trade_figures_by_date ON broker_trade_figures (business_date, account_id);

-- Choices of people ------------------------------------------------------------------------------------

CREATE TABLE account_rules (
    account_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL CHECK (rule IN ('LOT_METHOD', 'BASE_CURRENCY', 'REGIME')),
    from_date date NOT NULL,
    value text COLLATE "C" NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, rule, from_date)
);
COMMENT ON TABLE account_rules IS 'What a person said about an account from a date on: lot method, base currency, day-trading regime.';

CREATE TABLE lot_selections (
    close_trade_uid text COLLATE "C" NOT NULL,
    open_trade_uid text COLLATE "C" NOT NULL,
    qty numeric NOT NULL CHECK (qty > 0 AND qty < 'Infinity'),
    PRIMARY KEY (close_trade_uid, open_trade_uid)
);
COMMENT ON TABLE lot_selections IS 'Lots that a person chose for a closing trade, for accounts with the method SPECIFIC.';

CREATE TABLE opening_balances (
    opening_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric NOT NULL CHECK (qty <> 0 AND qty <> 'NaN' AND abs(qty) < 'Infinity'),
    opened_at timestamptz,
    opened_on date NOT NULL,
    open_price numeric,
    cost_basis numeric,
    multiplier numeric,
    currency text COLLATE "C",
    open_trade_id text COLLATE "C",
    source text COLLATE "C" NOT NULL CHECK (source IN ('BROKER_LOT', 'BROKER_CLOSED_LOT', 'BROKER_POSITION', 'PERSON')),
    note text
);
COMMENT ON TABLE opening_balances IS 'Lots that no known trade opened: from the broker''s own lot data, from its first snapshot of positions (without a basis), or signed by a person. Nothing else makes one up.';
CREATE INDEX opening_balances_by_account ON opening_balances (account_id, instrument_id);

-- Matching ----------------------------------------------------------------------------------------------

CREATE TABLE position_movements (
    movement_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    moved_at timestamptz,
    ordered_at timestamptz NOT NULL,
    place bigint NOT NULL,
    sequence numeric,
    kind text COLLATE "C" NOT NULL,
    action text COLLATE "C",
    qty numeric NOT NULL CHECK (qty <> 'NaN' AND abs(qty) < 'Infinity'),
    price numeric,
    multiplier numeric,
    fees numeric,
    money numeric,
    currency text COLLATE "C",
    position_effect text COLLATE "C",
    link_id text COLLATE "C",
    broker_cost numeric
);
COMMENT ON TABLE position_movements IS 'Everything that changes a position, one row per trade, book entry, corporate action row, transfer or opening balance.';
CREATE INDEX position_movements_by_instrument ON position_movements (account_id, instrument_id, business_date);
CREATE INDEX position_movements_by_date ON position_movements (business_date, account_id);
CREATE INDEX position_movements_by_link ON position_movements (account_id, link_id) WHERE link_id IS NOT NULL;

CREATE TABLE lots (
    lot_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    open_trade_uid text COLLATE "C",
    origin text COLLATE "C" NOT NULL,
    opened_at timestamptz,
    opened_on date NOT NULL,
    started_on date NOT NULL,
    ordered_at timestamptz NOT NULL,
    place bigint NOT NULL,
    sequence numeric,
    qty numeric NOT NULL,
    open_price numeric,
    multiplier numeric,
    fees numeric,
    carried_pnl numeric NOT NULL,
    cost_basis numeric,
    remaining_qty numeric NOT NULL,
    remaining_cost numeric,
    currency text COLLATE "C",
    closed_at timestamptz,
    closed_on date,
    method text COLLATE "C" NOT NULL,
    basis_source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE lots IS 'What a trade opened and what is left of it. qty and costs are signed: negative is short.';
CREATE INDEX lots_by_opening ON lots (opened_on);
CREATE INDEX lots_by_instrument ON lots (account_id, instrument_id, closed_on);

CREATE TABLE lot_moves (
    move_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    lot_uid text COLLATE "C" NOT NULL,
    to_lot_uid text COLLATE "C",
    movement_uid text COLLATE "C" NOT NULL,
    moved_on date NOT NULL,
    qty numeric NOT NULL,
    cost_basis numeric
);
COMMENT ON TABLE lot_moves IS 'Parts of lots that left without a gain: into the lot after a split or symbol change, or to another account.';
CREATE INDEX lot_moves_by_instrument ON lot_moves (account_id, instrument_id);

CREATE TABLE realized_pnl (
    realized_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    direction text COLLATE "C" NOT NULL CHECK (direction IN ('LONG', 'SHORT')),
    lot_uid text COLLATE "C",
    open_trade_uid text COLLATE "C",
    close_trade_uid text COLLATE "C" NOT NULL,
    qty numeric NOT NULL,
    multiplier numeric,
    open_price numeric,
    close_price numeric,
    open_fees numeric,
    close_fees numeric,
    carried_pnl numeric NOT NULL,
    cost_basis numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    fx_rate_to_base numeric,
    realized_pnl_base numeric,
    base_currency text COLLATE "C",
    opened_at timestamptz,
    closed_at timestamptz,
    opened_on date,
    closed_on date NOT NULL,
    method text COLLATE "C" NOT NULL,
    basis_source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE realized_pnl IS 'One row per piece of a lot that a trade closed. realized_pnl = (close_price - open_price) x qty x multiplier (the other way for a short) - open_fees - close_fees + carried_pnl.';
CREATE INDEX realized_pnl_by_instrument ON realized_pnl (account_id, instrument_id, closed_on);
CREATE INDEX realized_pnl_by_date ON realized_pnl (closed_on, account_id);
CREATE INDEX realized_pnl_by_close ON realized_pnl (close_trade_uid);

CREATE TABLE ledger_stops (
    stop_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    reason_code text COLLATE "C" NOT NULL,
    reason text NOT NULL
);
COMMENT ON TABLE ledger_stops IS 'Rows from which on the lots of an instrument are not known, because no rule covers what happened.';
CREATE INDEX ledger_stops_by_date ON ledger_stops (business_date, account_id);

-- Positions ---------------------------------------------------------------------------------------------

CREATE TABLE positions_daily (
    business_date date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric NOT NULL,
    avg_cost numeric,
    cost_basis numeric,
    mark_price numeric,
    market_value numeric,
    unrealized_pnl numeric,
    currency text COLLATE "C",
    PRIMARY KEY (business_date, account_id, instrument_id)
);
COMMENT ON TABLE positions_daily IS 'Every open position at the end of every day, from the ledger; marks are the broker''s of that day.';
CREATE INDEX positions_daily_by_instrument ON positions_daily (account_id, instrument_id, business_date);

CREATE TABLE position_events (
    event_uid text COLLATE "C" PRIMARY KEY,
    position_uid text COLLATE "C" NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    at timestamptz,
    business_date date NOT NULL,
    qty numeric NOT NULL,
    price numeric,
    position_qty numeric NOT NULL,
    realized_pnl numeric,
    currency text COLLATE "C",
    holding_days bigint NOT NULL,
    trade_uid text COLLATE "C"
);
COMMENT ON TABLE position_events IS 'The life of every position, from flat to flat: a flip ends one position and opens another.';
CREATE INDEX position_events_by_instrument ON position_events (account_id, instrument_id, business_date);
CREATE INDEX position_events_by_position ON position_events (position_uid);

CREATE TABLE round_trips (
    trade_id text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C",
    account_id text COLLATE "C",
    instrument_id text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C",
    side text COLLATE "C" NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity numeric NOT NULL,
    entry_price numeric,
    exit_price numeric,
    entry_at timestamptz,
    exit_at timestamptz,
    entry_date date,
    exit_date date,
    realized_pnl numeric,
    fees numeric,
    currency text COLLATE "C",
    status text COLLATE "C" NOT NULL CHECK (status IN ('OPEN', 'CLOSED')),
    strategy_uid text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE round_trips IS 'From opened to closed: one row per life of a position; source LEDGER, or the engine that wrote its own.';
CREATE INDEX round_trips_by_instrument ON round_trips (account_id, instrument_id);

CREATE TABLE positions (
    position_id text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    quantity numeric NOT NULL,
    entry_price numeric,
    exit_price numeric,
    status text COLLATE "C" NOT NULL CHECK (status IN ('OPEN', 'CLOSED')),
    unrealized_pnl numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    opened_at timestamptz,
    closed_at timestamptz,
    synced_at timestamptz NOT NULL,
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE positions IS 'The current book, compared with the brokers; synced_at is when a broker last told it, source says who did.';
CREATE INDEX positions_by_account ON positions (account_id, symbol);

-- Cash ------------------------------------------------------------------------------------------------------

CREATE TABLE cash_ledger (
    entry_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    booked_on date NOT NULL,
    settle_date date NOT NULL,
    kind text COLLATE "C" NOT NULL,
    amount numeric NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 'Infinity'),
    symbol text COLLATE "C",
    trade_uid text COLLATE "C",
    cash_uid text COLLATE "C",
    fee_uid text COLLATE "C",
    description text
);
COMMENT ON TABLE cash_ledger IS 'Every movement of cash: of trades and fees as the ledger derives them, of everything else as booked. Positive is received.';
CREATE INDEX cash_ledger_by_account ON cash_ledger (account_id, currency, booked_on);
CREATE INDEX cash_ledger_by_settlement ON cash_ledger (account_id, settle_date);

CREATE TABLE cash_account_state (
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    as_of date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    total_cash numeric,
    settled_cash numeric,
    unsettled_cash numeric,
    PRIMARY KEY (account_id, currency, as_of)
);
COMMENT ON TABLE cash_account_state IS 'Cash at the end of the days on which it changed; NULL totals where the cash before the first known day is not known.';

-- Calendars, settlement, rules -----------------------------------------------------------------------------

CREATE TABLE calendar_overrides (
    calendar text COLLATE "C" NOT NULL,
    on_date date NOT NULL,
    is_session boolean NOT NULL,
    is_settlement_day boolean NOT NULL,
    closes_at time,
    reason text NOT NULL,
    PRIMARY KEY (calendar, on_date)
);
COMMENT ON TABLE calendar_overrides IS 'Days on which the library of calendars is wrong or cannot know; edit it and run the ledger again.';
INSERT INTO calendar_overrides VALUES
    ('XHKG', '2023-09-01', false, false, NULL, 'typhoon Saola'),
    ('XHKG', '2023-09-08', false, false, NULL, 'black rainstorm');

CREATE TABLE market_days (
    calendar text COLLATE "C" NOT NULL,
    on_date date NOT NULL,
    is_session boolean NOT NULL,
    is_settlement_day boolean NOT NULL,
    opens_at timestamptz,
    closes_at timestamptz,
    PRIMARY KEY (calendar, on_date)
);
COMMENT ON TABLE market_days IS 'Every day of every calendar in use: the library with the overrides applied.';

CREATE TABLE settlement_tracking (
    trade_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    market text COLLATE "C",
    trade_date date NOT NULL,
    settlement_date date,
    broker_settlement_date date,
    rule text COLLATE "C",
    amount numeric,
    currency text COLLATE "C",
    status text COLLATE "C" NOT NULL CHECK (status IN ('PENDING', 'SETTLED', 'UNKNOWN'))
);
CREATE INDEX settlement_tracking_by_date ON settlement_tracking (settlement_date, account_id);
CREATE INDEX settlement_tracking_pending ON settlement_tracking (account_id, settlement_date) WHERE status = 'PENDING';
CREATE INDEX settlement_tracking_by_trade_date ON settlement_tracking (trade_date, account_id);

CREATE TABLE day_trades (
    day_trade_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    method text COLLATE "C" NOT NULL CHECK (method IN ('ORDER_PAIR', 'DIRECTION_CHANGE')),
    open_trade_uid text COLLATE "C" NOT NULL,
    close_trade_uid text COLLATE "C" NOT NULL,
    open_trade_uids jsonb NOT NULL,
    close_trade_uids jsonb NOT NULL,
    qty numeric NOT NULL,
    regime text COLLATE "C" NOT NULL
);
COMMENT ON TABLE day_trades IS 'Positions opened and closed on one day, counted in two ways, with the regime of the account on that day.';
CREATE INDEX day_trades_by_date ON day_trades (trade_date, account_id);

CREATE TABLE trade_frequency_tracking (
    account_id text COLLATE "C" NOT NULL,
    period text COLLATE "C" NOT NULL CHECK (period IN ('DAY', 'WEEK')),
    period_start date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    trade_count bigint NOT NULL,
    order_count bigint NOT NULL,
    day_trade_count bigint NOT NULL,
    day_trades_in_five_days bigint,
    regime text COLLATE "C" NOT NULL,
    warning text,
    PRIMARY KEY (account_id, period, period_start)
);

CREATE TABLE wash_sale_flags (
    flag_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    loss_trade_uid text COLLATE "C" NOT NULL,
    closed_on date NOT NULL,
    realized_pnl numeric NOT NULL,
    currency text COLLATE "C",
    acquired_trade_uid text COLLATE "C" NOT NULL,
    acquired_account_id text COLLATE "C" NOT NULL,
    acquired_symbol text COLLATE "C" NOT NULL,
    acquired_on date NOT NULL,
    note text NOT NULL
);
COMMENT ON TABLE wash_sale_flags IS 'Losses with a purchase of the same underlying within 30 days, over all accounts. Information, not tax advice.';
CREATE INDEX wash_sale_flags_by_date ON wash_sale_flags (closed_on, account_id);

-- Value -----------------------------------------------------------------------------------------------------

CREATE TABLE performance_metrics (
    account_id text COLLATE "C" NOT NULL,
    period text COLLATE "C" NOT NULL CHECK (period IN ('HOUR', 'DAY')),
    as_of timestamptz NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('ACCOUNT', 'STRATEGY', 'UNDERLYING')),
    scope_id text COLLATE "C" NOT NULL,
    broker text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    currency text COLLATE "C",
    net_liquidation numeric,
    cash numeric,
    positions_value numeric,
    realized_pnl numeric,
    unrealized_pnl numeric,
    fees numeric,
    net_flow numeric,
    daily_return numeric,
    cumulative_return numeric,
    drawdown numeric,
    win_rate numeric,
    total_trades bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, period, as_of, scope, scope_id)
);
COMMENT ON TABLE performance_metrics IS 'Value and results by day: of the account, and what was realized by strategy and by underlying.';
CREATE INDEX performance_metrics_by_date ON performance_metrics (business_date, account_id);

-- Lines of the statement of funds without an id were kept under the days of their statement, once for each that told
-- them. They are kept by the day they were reported on, as the newest statement of that day tells it; the old records
-- stay and are no longer read. A line without reportDate counts again when its statement is read again.
INSERT INTO sections_raw_ib (account_id, record_key, business_date, payload, fetched_at, generated_at, load_id)
WITH kept AS (
    SELECT r.*, (payload ->> '_from')::date AS from_date, (payload ->> '_to')::date AS to_date,
           payload - '{_from,_to,_section,_dates}'::text[] AS line,
           btrim(payload ->> 'reportDate') AS reported, payload ->> '_dates' AS dates,
           btrim(coalesce(payload ->> 'transactionID', '')) ~ '^(0*|-|--|N/A|MULTI)$'
           AND lower(btrim(coalesce(payload ->> 'activityDescription', ''))) NOT IN ('starting balance', 'ending balance')
           AND (concat(payload ->> 'activityCode', payload ->> 'conid', payload ->> 'symbol') ~ '[^ -]'
                OR concat(payload ->> 'amount', payload ->> 'debit', payload ->> 'credit') ~ '[1-9]') AS is_line
    FROM sections_raw_ib r
    WHERE payload ->> '_section' = 'StmtFunds' AND payload ->> '_tag' = 'StatementOfFundsLine' AND payload ? '_from'
      AND upper(btrim(coalesce(payload ->> 'levelOfDetail', '')))
          NOT IN ('SUMMARY', 'SYMBOL_SUMMARY', 'ASSET_SUMMARY', 'BASE_SUMMARY', 'BASESUMMARY', 'BASECURRENCY')
), dated AS (
    SELECT account_id, from_date, to_date, line, dates, CASE
               WHEN reported ~ '^\d{8}$' THEN to_date(reported, 'YYYYMMDD')
               WHEN reported ~ '^\d{4}-\d{1,2}-\d{1,2}$' THEN to_date(reported, 'YYYY-MM-DD')
               WHEN reported ~ '^\d{1,2}-[A-Za-z]{3}-\d{4}$' THEN to_date(reported, 'DD-MON-YYYY')
               WHEN reported ~ '^\d{1,2}-[A-Za-z]{3}-\d{2}$' THEN to_date(reported, 'DD-MON-YY')
               WHEN reported ~ '^\d{1,2}/\d{1,2}/\d{4}$' AND dates = 'dmy' THEN to_date(reported, 'DD/MM/YYYY')
               WHEN reported ~ '^\d{1,2}/\d{1,2}/\d{2}$' AND dates = 'dmy' THEN to_date(reported, 'DD/MM/YY')
               WHEN reported ~ '^\d{1,2}/\d{1,2}/\d{4}$' THEN to_date(reported, 'MM/DD/YYYY')
               WHEN reported ~ '^\d{1,2}/\d{1,2}/\d{2}$' THEN to_date(reported, 'MM/DD/YY')
           END AS on_date
    FROM kept WHERE is_line
), statement AS (
    -- its balances say that a statement tells of the movements of its days, also where it has no such line
    SELECT account_id, from_date, to_date, max(generated_at) AS generated_at, max(load_id) AS load_id,
           max(fetched_at) AS fetched_at
    FROM kept GROUP BY 1, 2, 3
), newest AS (
    SELECT DISTINCT ON (d.account_id, d.on_date) d.account_id, d.on_date, s.from_date, s.to_date, s.generated_at,
           s.load_id, s.fetched_at
    FROM (SELECT DISTINCT account_id, on_date FROM dated WHERE on_date BETWEEN from_date AND to_date) AS d
    JOIN statement s ON s.account_id = d.account_id AND d.on_date BETWEEN s.from_date AND s.to_date
    ORDER BY d.account_id, d.on_date, s.generated_at DESC NULLS LAST, s.load_id DESC, s.from_date
), written AS (
    SELECT d.*, (SELECT array_agg(part.word ORDER BY field.key COLLATE "C", part.place)
                 FROM jsonb_each_text(line) AS field
                 CROSS JOIN LATERAL (VALUES (1, field.key), (2, field.value)) AS part (place, word)) AS words
    FROM dated d
)
SELECT n.account_id, concat('StmtFunds/unnumbered/', n.on_date, '/', n.on_date), n.on_date,
       jsonb_build_object('_section', 'StmtFunds', '_from', n.on_date, '_to', n.on_date, 'rows',
                          coalesce(jsonb_agg(w.line ORDER BY w.words COLLATE "C") FILTER (WHERE w.line IS NOT NULL), '[]'))
       || CASE WHEN max(w.dates) IS NULL THEN '{}' ELSE jsonb_build_object('_dates', max(w.dates)) END,
       n.fetched_at, n.generated_at, n.load_id
FROM newest n LEFT JOIN written w USING (account_id, from_date, to_date, on_date)
GROUP BY n.account_id, n.on_date, n.fetched_at, n.generated_at, n.load_id
ON CONFLICT DO NOTHING;

-- Everything that is stored is read again, so that rows of before have what the ledger needs.
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT DISTINCT 'normalize', broker, account_id, business_date FROM raw_records
ON CONFLICT DO NOTHING;
