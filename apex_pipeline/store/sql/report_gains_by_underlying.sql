-- What was realized by underlying, net of fees; what has none stands under its own symbol.
SELECT coalesce(underlying, symbol) AS underlying, currency, sum(realized_pnl) AS realized_pnl, count(*) AS closings,
       count(*) FILTER (WHERE realized_pnl > 0) AS gains, count(*) FILTER (WHERE realized_pnl < 0) AS losses,
       count(*) FILTER (WHERE realized_pnl IS NULL) AS basis_unknown, max(closed_on) AS last_closed_on
FROM realized_pnl GROUP BY 1, 2 ORDER BY 2, sum(realized_pnl) DESC NULLS LAST, 1
