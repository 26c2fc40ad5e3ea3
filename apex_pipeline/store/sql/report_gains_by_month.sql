-- What was realized by month, net of fees. Closings without a known basis are counted, not summed.
SELECT to_char(closed_on, 'YYYY-MM') AS month, currency, sum(realized_pnl) AS realized_pnl, count(*) AS closings,
       count(*) FILTER (WHERE realized_pnl > 0) AS gains, count(*) FILTER (WHERE realized_pnl < 0) AS losses,
       count(*) FILTER (WHERE realized_pnl IS NULL) AS basis_unknown
FROM realized_pnl GROUP BY 1, 2 ORDER BY 1, 2
