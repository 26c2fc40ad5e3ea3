-- What was realized by the strategy that opened it, net of fees. A closing that serves several chains counts in each; what
-- belongs to no chain stands under no type, so that the sums are those of realized_pnl.
WITH parts AS (
    SELECT c.first_type AS type, g.currency, g.amount, g.chain_uid, g.closed_on
    FROM chain_gains g JOIN strategy_chains c USING (chain_uid)
    UNION ALL
    SELECT NULL, r.currency, r.realized_pnl, NULL, r.closed_on
    FROM realized_pnl r WHERE NOT EXISTS (SELECT FROM chain_gains g WHERE g.realized_uid = r.realized_uid)
)
SELECT type, currency, sum(amount) AS realized_pnl, count(DISTINCT chain_uid) AS chains, count(*) AS closings,
       count(*) FILTER (WHERE amount > 0) AS gains, count(*) FILTER (WHERE amount < 0) AS losses,
       count(*) FILTER (WHERE amount IS NULL) AS basis_unknown, max(closed_on) AS last_closed_on
FROM parts GROUP BY 1, 2 ORDER BY 2, sum(amount) DESC NULLS LAST, 1
