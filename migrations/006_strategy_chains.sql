-- Strategies as people see them: a card for each, the chains that openings, rolls and closes make, and whose each gain is.

CREATE TABLE strategies (
    strategy_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    strategy_type text COLLATE "C" NOT NULL,
    name text NOT NULL,
    action text COLLATE "C" NOT NULL,
    sub_type text COLLATE "C",
    resulting_type text COLLATE "C",
    method text COLLATE "C" NOT NULL,
    confidence numeric NOT NULL,
    rival_type text COLLATE "C",
    rival_confidence numeric,
    first_fill_at timestamptz,
    last_fill_at timestamptz,
    trade_date date NOT NULL,
    orders bigint NOT NULL,
    units bigint NOT NULL,
    legs jsonb NOT NULL,
    net_premium numeric,
    stock_cost numeric,
    currency text COLLATE "C",
    width numeric,
    max_profit numeric,
    profit_unlimited boolean,
    max_loss numeric,
    loss_unlimited boolean,
    break_evens jsonb,
    fees numeric,
    realized_pnl numeric,
    chain_uid text COLLATE "C",
    why text NOT NULL
);
COMMENT ON TABLE strategies IS 'One row per strategy: its legs, what it brought, its bounds and why it has its name. net_premium is positive when received; max_loss is positive when lost.';
CREATE INDEX strategies_by_date ON strategies (trade_date);
CREATE INDEX strategies_by_underlying ON strategies (account_id, underlying, broker);
CREATE INDEX strategies_by_chain ON strategies (chain_uid);

CREATE TABLE strategy_chains (
    chain_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    first_type text COLLATE "C" NOT NULL,
    current_type text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('OPEN', 'CLOSED', 'EXPIRED', 'ASSIGNED', 'EXERCISED')),
    opened_at timestamptz,
    opened_on date NOT NULL,
    ended_at timestamptz,
    rolls bigint NOT NULL,
    adjustments bigint NOT NULL,
    events jsonb NOT NULL,
    held jsonb NOT NULL,
    stock_held numeric NOT NULL,
    net_premium numeric,
    fees numeric,
    realized_pnl numeric,
    stock_pnl numeric NOT NULL,
    pieces bigint NOT NULL,
    pieces_unknown bigint NOT NULL,
    currency text COLLATE "C",
    wheel_uid text COLLATE "C",
    wheel_stage text COLLATE "C" CHECK (wheel_stage IN ('WHEEL_CSP', 'WHEEL_ASSIGNED', 'WHEEL_COVERED_CALL', 'WHEEL_CALLED_AWAY'))
);
COMMENT ON TABLE strategy_chains IS 'Strategies joined by rolls, adjustments and closes, from opened to ended, with their events and what they gained. A wheel is named by the chain that began it.';
CREATE INDEX strategy_chains_by_date ON strategy_chains (opened_on);
CREATE INDEX strategy_chains_by_underlying ON strategy_chains (account_id, underlying, broker);
CREATE INDEX strategy_chains_by_wheel ON strategy_chains (wheel_uid) WHERE wheel_uid IS NOT NULL;

CREATE TABLE chain_gains (
    realized_uid text COLLATE "C" NOT NULL,
    chain_uid text COLLATE "C" NOT NULL,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    closed_on date NOT NULL,
    amount numeric,
    currency text COLLATE "C",
    delivered boolean NOT NULL,
    PRIMARY KEY (realized_uid, chain_uid)
);
COMMENT ON TABLE chain_gains IS 'Rows of realized_pnl by the chain that opened the piece; the parts of a row sum to it. A row that is not here belongs to no chain.';
CREATE INDEX chain_gains_by_chain ON chain_gains (chain_uid);
CREATE INDEX chain_gains_by_date ON chain_gains (closed_on, account_id);
CREATE INDEX chain_gains_by_underlying ON chain_gains (account_id, underlying, broker);

CREATE TABLE told_families (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    told_from text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, underlying, broker)
);
COMMENT ON TABLE told_families IS 'What the strategies, chains and gains of an account and underlying were last told from: they are told again only when it differs.';
