-- Round trips that were closed in the last days, by currency; those of unknown outcome are neither won nor lost.
SELECT currency, count(*) AS trades, count(*) FILTER (WHERE realized_pnl > 0) AS won,
       count(*) FILTER (WHERE realized_pnl < 0) AS lost, count(realized_pnl) AS decided,
       sum(realized_pnl) AS realized_pnl, sum(fees) AS fees
FROM round_trips
WHERE status = 'CLOSED'
  AND coalesce(exit_date, (exit_at AT TIME ZONE 'UTC')::date)
      > (clock_timestamp() AT TIME ZONE 'UTC')::date - %(days)s::integer
GROUP BY 1 ORDER BY 1
