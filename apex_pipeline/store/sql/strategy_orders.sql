-- The orders of some families; `strategy_inputs` has collected them.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_orders (
    LIKE orders_norm, first_fill_at timestamptz, family text COLLATE "C" NOT NULL, is_filled boolean NOT NULL
) ON COMMIT DROP;
SELECT * FROM strategy_orders WHERE family = ANY (%(families)s) ORDER BY order_uid
