-- The terms of what some families ordered; `strategy_inputs` has collected their orders.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_orders (
    LIKE orders_norm, first_fill_at timestamptz, family text COLLATE "C" NOT NULL, is_filled boolean NOT NULL
) ON COMMIT DROP;
SELECT i.* FROM instruments i
WHERE i.symbol IN (SELECT symbol FROM strategy_orders WHERE family = ANY (%(families)s)
                   UNION SELECT leg.symbol FROM strategy_orders o, jsonb_to_recordset(o.legs) AS leg (symbol text)
                         WHERE o.family = ANY (%(families)s) AND o.legs IS NOT NULL)
