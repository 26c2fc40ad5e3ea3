-- Cash bookings, the broker's own positions and balances, fees by trade, unknown words, and known gaps of loads.

DO $$
DECLARE kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['positions', 'balances', 'cash']
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
            CREATE TRIGGER keep_version BEFORE UPDATE ON %1$I FOR EACH ROW EXECUTE FUNCTION keep_version('FUTU');
            CREATE TRIGGER refuse_removal BEFORE DELETE OR TRUNCATE ON %1$I FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
        $ddl$, kind || '_raw_futu', kind || '_raw_futu_by_date');
    END LOOP;
END $$;

CREATE OR REPLACE VIEW raw_records AS
    SELECT 'FUTU' AS broker, 'orders' AS kind, r.* FROM orders_raw_futu r
    UNION ALL SELECT 'FUTU', 'trades', r.* FROM trades_raw_futu r
    UNION ALL SELECT 'FUTU', 'fees', r.* FROM fees_raw_futu r
    UNION ALL SELECT 'FUTU', 'positions', r.* FROM positions_raw_futu r
    UNION ALL SELECT 'FUTU', 'balances', r.* FROM balances_raw_futu r
    UNION ALL SELECT 'FUTU', 'cash', r.* FROM cash_raw_futu r
    UNION ALL SELECT 'IB', 'orders', r.* FROM orders_raw_ib r
    UNION ALL SELECT 'IB', 'trades', r.* FROM trades_raw_ib r
    UNION ALL SELECT 'IB', 'fees', r.* FROM fees_raw_ib r;

ALTER TABLE orders_norm ADD COLUMN source text COLLATE "C";
UPDATE orders_norm SET source = CASE broker WHEN 'FUTU' THEN 'futu_orders' ELSE 'ib_executions' END;
ALTER TABLE orders_norm ALTER COLUMN source SET NOT NULL;

CREATE TABLE fee_allocations (
    fee_uid text COLLATE "C" NOT NULL,
    trade_uid text COLLATE "C" NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    amount numeric NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 'Infinity'),
    PRIMARY KEY (fee_uid, trade_uid)
);
COMMENT ON TABLE fee_allocations IS 'Fees of whole orders, split over their trades without a remainder.';
CREATE INDEX fee_allocations_by_trade ON fee_allocations (trade_uid);

CREATE TABLE cash_movements (
    cash_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    broker_cash_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    broker_kind text,
    symbol text COLLATE "C",
    amount numeric NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 'Infinity'),
    currency text COLLATE "C",
    booked_on date NOT NULL,
    settle_date date,
    event_date date,
    description text,
    source text COLLATE "C" NOT NULL
);
CREATE INDEX cash_movements_by_date ON cash_movements (booked_on);
CREATE INDEX cash_movements_by_account ON cash_movements (account_id, symbol);

CREATE TABLE broker_positions (
    business_date date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    broker_position_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    underlying text COLLATE "C",
    asset_class text COLLATE "C" NOT NULL,
    qty numeric NOT NULL CHECK (qty <> 'NaN' AND abs(qty) < 'Infinity'),
    average_cost numeric,
    mark_price numeric,
    market_value numeric,
    unrealized_pnl numeric,
    realized_pnl numeric,
    currency text COLLATE "C",
    as_of timestamptz NOT NULL,
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (business_date, broker, account_id, broker_position_id)
);
COMMENT ON TABLE broker_positions IS 'Positions as the broker told them, the newest snapshot of each day.';
CREATE INDEX broker_positions_by_account ON broker_positions (account_id, symbol, business_date);

CREATE TABLE broker_balances (
    business_date date NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    cash numeric,
    net_liquidation numeric,
    market_value numeric,
    as_of timestamptz NOT NULL,
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (business_date, broker, account_id, currency)
);
COMMENT ON TABLE broker_balances IS 'Cash per currency as the broker told it, the newest snapshot of each day.';

CREATE TABLE payload_drift (
    broker text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    field text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    example_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (broker, kind, account_id, business_date, field, value)
);
COMMENT ON TABLE payload_drift IS 'Words of a broker that no rule knows; the records that hold them are kept and loaded.';
CREATE INDEX payload_drift_by_date ON payload_drift (business_date);

CREATE TABLE load_gaps (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    data_type text COLLATE "C" NOT NULL,
    business_date date NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (broker, account_id, data_type, business_date)
);
COMMENT ON TABLE load_gaps IS 'Covered days of which less is stored than the broker itself says there is: they are asked again.';

-- What takes back what at IB, found by the reference of the reversing row.
CREATE INDEX trades_raw_ib_by_reversed ON trades_raw_ib (btrim(payload ->> 'origTransactionID'));
CREATE INDEX trades_raw_ib_by_reversed_trade ON trades_raw_ib (btrim(payload ->> 'origTradeID'));
