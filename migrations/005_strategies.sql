-- Strategies: how a roll or close went, what open strategies hold, what a person corrected and what changed afterwards.

ALTER TABLE order_strategy_map ADD COLUMN sub_type text COLLATE "C";
ALTER TABLE order_strategy_map ADD COLUMN resulting_type text COLLATE "C";
COMMENT ON COLUMN order_strategy_map.sub_type IS 'How a ROLL or CLOSE went: ROLL_OUT, CLOSE_PARTIAL, LEG_OUT and the like.';
COMMENT ON COLUMN order_strategy_map.resulting_type IS 'The strategy that is held afterwards.';
-- The members of a strategy.
CREATE INDEX order_strategy_map_by_strategy ON order_strategy_map (strategy_uid);

CREATE TABLE strategy_positions (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    strategy_uid text COLLATE "C",
    chain_uid text COLLATE "C",
    strategy_type text COLLATE "C",
    qty numeric NOT NULL CHECK (qty <> 0 AND qty <> 'NaN' AND abs(qty) < 'Infinity'),
    PRIMARY KEY (account_id, underlying, symbol, place, broker)
);
COMMENT ON TABLE strategy_positions IS 'What every open strategy holds now, by contract; place 1 is the oldest of its contract. Without a strategy_uid: held before the history.';
CREATE INDEX strategy_positions_by_strategy ON strategy_positions (strategy_uid);

CREATE TABLE strategy_families (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    orders_hash text COLLATE "C" NOT NULL,
    moves_hash text COLLATE "C" NOT NULL,
    corrections_hash text COLLATE "C" NOT NULL,
    classifier_version text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, underlying, broker)
);
COMMENT ON TABLE strategy_families IS 'What the strategies of an account and underlying were last made of: a family is classified again only when one of these differs.';

CREATE TABLE strategy_changes (
    change_uid text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    order_uid text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    from_strategy_uid text COLLATE "C",
    from_type text COLLATE "C",
    from_action text COLLATE "C",
    from_confidence numeric,
    to_strategy_uid text COLLATE "C",
    to_type text COLLATE "C",
    to_action text COLLATE "C",
    to_confidence numeric,
    cause text NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE strategy_changes IS 'Every time that an order which had been classified got another type, action or group, and what made it so. Never rewritten.';
CREATE INDEX strategy_changes_by_order ON strategy_changes (order_uid);
CREATE INDEX strategy_changes_by_date ON strategy_changes (trade_date);

CREATE TABLE strategy_corrections (
    correction_uid text COLLATE "C" PRIMARY KEY,
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    underlying text COLLATE "C" NOT NULL,
    order_uids text[] COLLATE "C" NOT NULL CHECK (cardinality(order_uids) > 0),
    strategy_type text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL CHECK (action IN ('OPEN', 'CLOSE', 'ROLL', 'ADJUST')),
    reason text,
    made_by text COLLATE "C" NOT NULL,
    made_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON TABLE strategy_corrections IS 'What a person said of some orders: one strategy of this type. In force until revoked, by word or by a newer correction of one of the same orders; kept for good.';
CREATE INDEX strategy_corrections_in_force ON strategy_corrections (account_id) WHERE revoked_at IS NULL;

CREATE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what people said and what changed is kept for good: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION keep_correction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR to_jsonb(NEW) - 'revoked_at' <> to_jsonb(OLD) - 'revoked_at' THEN
        RAISE EXCEPTION 'a correction can only be revoked, and only once (%)', OLD.correction_uid
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER keep_correction BEFORE UPDATE ON strategy_corrections
    FOR EACH ROW EXECUTE FUNCTION keep_correction();
CREATE TRIGGER keep_history BEFORE DELETE OR TRUNCATE ON strategy_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION keep_history();
CREATE TRIGGER keep_history BEFORE UPDATE OR DELETE OR TRUNCATE ON strategy_changes
    FOR EACH STATEMENT EXECUTE FUNCTION keep_history();
