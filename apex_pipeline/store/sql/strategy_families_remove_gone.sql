-- Families of which nothing is left, with what their strategies held; returns how many.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_orders (
    LIKE orders_norm, first_fill_at timestamptz, family text COLLATE "C" NOT NULL, is_filled boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_moves (
    uid text COLLATE "C" NOT NULL, broker text COLLATE "C" NOT NULL, family text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL, underlying text COLLATE "C", asset_class text COLLATE "C" NOT NULL,
    option_right text COLLATE "C", strike numeric, expiry date, multiplier numeric, qty numeric NOT NULL, at timestamptz
) ON COMMIT DROP;
WITH gone AS (
    DELETE FROM strategy_families f
    WHERE f.account_id = %(account_id)s
      AND NOT EXISTS (SELECT FROM strategy_orders o WHERE o.family = f.underlying AND o.broker = f.broker)
      AND NOT EXISTS (SELECT FROM strategy_moves m WHERE m.family = f.underlying AND m.broker = f.broker)
    RETURNING f.broker, f.account_id, f.underlying
)
DELETE FROM strategy_positions p USING gone g
WHERE p.account_id = g.account_id AND p.underlying = g.underlying AND p.broker = g.broker
