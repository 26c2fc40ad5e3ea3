-- Everything a Flex statement holds beside trades, and what the TWS API tells before it.

DO $$
DECLARE kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['positions', 'balances', 'cash', 'sections', 'provisional']
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
            CREATE TRIGGER keep_version BEFORE UPDATE ON %1$I FOR EACH ROW EXECUTE FUNCTION keep_version('IB');
            CREATE TRIGGER refuse_removal BEFORE DELETE OR TRUNCATE ON %1$I FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
        $ddl$, kind || '_raw_ib', kind || '_raw_ib_by_date');
    END LOOP;
END $$;
CREATE INDEX provisional_raw_ib_by_order ON provisional_raw_ib (account_id, order_id);

CREATE OR REPLACE VIEW raw_records AS
    SELECT 'FUTU' AS broker, 'orders' AS kind, r.* FROM orders_raw_futu r
    UNION ALL SELECT 'FUTU', 'trades', r.* FROM trades_raw_futu r
    UNION ALL SELECT 'FUTU', 'fees', r.* FROM fees_raw_futu r
    UNION ALL SELECT 'FUTU', 'positions', r.* FROM positions_raw_futu r
    UNION ALL SELECT 'FUTU', 'balances', r.* FROM balances_raw_futu r
    UNION ALL SELECT 'FUTU', 'cash', r.* FROM cash_raw_futu r
    UNION ALL SELECT 'IB', 'orders', r.* FROM orders_raw_ib r
    UNION ALL SELECT 'IB', 'trades', r.* FROM trades_raw_ib r
    UNION ALL SELECT 'IB', 'fees', r.* FROM fees_raw_ib r
    UNION ALL SELECT 'IB', 'positions', r.* FROM positions_raw_ib r
    UNION ALL SELECT 'IB', 'balances', r.* FROM balances_raw_ib r
    UNION ALL SELECT 'IB', 'cash', r.* FROM cash_raw_ib r
    UNION ALL SELECT 'IB', 'sections', r.* FROM sections_raw_ib r
    UNION ALL SELECT 'IB', 'provisional', r.* FROM provisional_raw_ib r;

-- What belongs together although it was told on other days: by trade, and by execution.
CREATE INDEX trades_raw_ib_by_trade ON trades_raw_ib (btrim(payload ->> 'tradeID'));
CREATE INDEX trades_raw_ib_by_execution ON trades_raw_ib (btrim(payload ->> 'ibExecID'));
CREATE INDEX fees_raw_ib_by_trade ON fees_raw_ib (btrim(payload ->> 'tradeID'));
CREATE INDEX sections_raw_ib_of_queries ON sections_raw_ib (account_id, business_date) WHERE payload ->> '_section' = '_query';
CREATE INDEX sections_raw_ib_by_trade ON sections_raw_ib (btrim(payload ->> 'tradeID'));
CREATE INDEX sections_raw_ib_by_taxed_trade ON sections_raw_ib (btrim(payload ->> 'tradeId'));
CREATE INDEX provisional_raw_ib_by_root ON provisional_raw_ib (btrim(payload ->> '_root'));

ALTER TABLE trades_norm ADD COLUMN report_date date;

CREATE TABLE broker_lots (
    lot_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric NOT NULL CHECK (qty <> 'NaN' AND abs(qty) < 'Infinity'),
    opened_at timestamptz,
    open_price numeric,
    cost_basis numeric,
    market_value numeric,
    unrealized_pnl numeric,
    currency text COLLATE "C",
    open_trade_id text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE broker_lots IS 'Open lots as the broker told them at the end of a day.';
CREATE INDEX broker_lots_by_date ON broker_lots (business_date, account_id);

CREATE TABLE broker_closed_lots (
    lot_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric NOT NULL CHECK (qty <> 'NaN' AND abs(qty) < 'Infinity'),
    broker_side text COLLATE "C",
    opened_at timestamptz,
    closed_at timestamptz,
    open_price numeric,
    cost_basis numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    open_trade_id text COLLATE "C",
    notes text,
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE broker_closed_lots IS 'Pieces that trades closed, as the broker matched them.';
CREATE INDEX broker_closed_lots_by_date ON broker_closed_lots (business_date, account_id);

CREATE TABLE broker_figures (
    figures_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    section text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    from_date date,
    to_date date NOT NULL,
    currency text COLLATE "C",
    figures jsonb NOT NULL,
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE broker_figures IS 'The sums of statements under the broker''s own names: cash report, change in NAV, equity, realized P&L by symbol.';
CREATE INDEX broker_figures_by_date ON broker_figures (business_date, account_id, section);

CREATE TABLE broker_funds (
    line_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    level text COLLATE "C",
    currency text COLLATE "C",
    activity_code text COLLATE "C",
    description text,
    symbol text COLLATE "C",
    amount numeric,
    balance numeric,
    activity_date date,
    settle_date date,
    broker_trade_id text COLLATE "C",
    broker_transaction_id text COLLATE "C",
    from_date date,
    to_date date,
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE broker_funds IS 'Lines of the statement of funds with their running balance.';
CREATE INDEX broker_funds_by_date ON broker_funds (business_date, account_id);

CREATE TABLE corporate_actions (
    action_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    broker_transaction_id text COLLATE "C",
    broker_action_id text COLLATE "C",
    broker_kind text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric,
    amount numeric,
    proceeds numeric,
    value numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    happened_at timestamptz,
    description text,
    source text COLLATE "C" NOT NULL
);
CREATE INDEX corporate_actions_by_date ON corporate_actions (business_date, account_id);

CREATE TABLE transfers (
    transfer_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    broker_transaction_id text COLLATE "C",
    broker_kind text COLLATE "C",
    direction text COLLATE "C",
    symbol text COLLATE "C",
    underlying text COLLATE "C",
    asset_class text COLLATE "C",
    qty numeric,
    price numeric,
    position_amount numeric,
    cash_amount numeric,
    currency text COLLATE "C",
    other_account text COLLATE "C",
    settle_date date,
    description text,
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE transfers IS 'Securities and cash moved between accounts, as the broker told them.';
CREATE INDEX transfers_by_date ON transfers (business_date, account_id);

CREATE TABLE conversion_rates (
    rate_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    from_currency text COLLATE "C" NOT NULL,
    to_currency text COLLATE "C" NOT NULL,
    rate numeric NOT NULL CHECK (rate <> 'NaN' AND abs(rate) < 'Infinity'),
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE conversion_rates IS 'The broker''s rates at the end of each day; not the rates of conversions.';
CREATE INDEX conversion_rates_by_date ON conversion_rates (business_date);

CREATE TABLE dividend_accruals (
    accrual_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    ex_date date,
    pay_date date,
    qty numeric,
    gross_rate numeric,
    gross_amount numeric,
    tax numeric,
    fee numeric,
    net_amount numeric,
    currency text COLLATE "C",
    codes text COLLATE "C",
    broker_action_id text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE dividend_accruals IS 'Dividends accrued (Po) and taken back (Re); not cash.';
CREATE INDEX dividend_accruals_by_date ON dividend_accruals (business_date, account_id);

CREATE TABLE option_events (
    event_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    broker_kind text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric,
    price numeric,
    proceeds numeric,
    cost_basis numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    broker_trade_id text COLLATE "C",
    link_id text COLLATE "C",
    source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE option_events IS 'Exercises, assignments and expiries in the broker''s own section about them.';
CREATE INDEX option_events_by_date ON option_events (business_date, account_id);

CREATE TABLE query_gaps (
    gap_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    query text NOT NULL,
    section text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    needed_for text NOT NULL
);
COMMENT ON TABLE query_gaps IS 'Sections and fields that the person''s query leaves out, as its newest statement shows.';
