-- The fees of the orders of some families.
CREATE TEMPORARY TABLE IF NOT EXISTS told_orders (
    order_uid text COLLATE "C" PRIMARY KEY, family text COLLATE "C" NOT NULL
) ON COMMIT DROP;
SELECT f.order_uid, d.family, f.currency, sum(f.amount) AS amount
FROM told_orders d JOIN fees_norm f USING (order_uid)
WHERE d.family = ANY (%(families)s)
GROUP BY 1, 2, 3 ORDER BY 1, 3
