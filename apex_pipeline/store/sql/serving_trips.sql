-- Closed round trips by account: the ledger's, or those of an engine where the ledger has none of that account.
SELECT account_id, source = 'LEDGER' AS is_ledger, count(*) FILTER (WHERE realized_pnl > 0) AS won,
       count(realized_pnl) AS known, count(*) AS every
FROM round_trips WHERE status = 'CLOSED' GROUP BY 1, 2
