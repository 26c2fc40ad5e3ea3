-- What positions were worth after a day, by day and currency; NULL where a mark is missing. The gain of a future is in
-- the cash already, and a contract for difference is worth its gain.
SELECT p.account_id, p.business_date, p.currency,
       CASE WHEN bool_and(worth IS NOT NULL) THEN sum(worth) END AS value,
       CASE WHEN bool_and(p.unrealized_pnl IS NOT NULL) THEN sum(p.unrealized_pnl) END AS unrealized
FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
JOIN positions_daily p ON p.account_id = due.account_id AND p.business_date > due.after_day
CROSS JOIN LATERAL (
    SELECT CASE p.asset_class WHEN 'FUTURE' THEN 0 WHEN 'CFD' THEN p.unrealized_pnl ELSE p.market_value END AS worth
) AS valued
WHERE p.business_date > %(first_day)s
GROUP BY 1, 2, 3
