-- The classified orders of some families; `chains_inputs` has collected them.
CREATE TEMPORARY TABLE IF NOT EXISTS told_orders (
    order_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
SELECT m.*, d.family FROM told_orders d JOIN order_strategy_map m USING (order_uid) WHERE d.family = ANY (%(families)s)
ORDER BY m.order_uid, m.strategy_uid
