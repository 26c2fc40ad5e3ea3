-- What brokers say that accounts were worth after a day: the equity of the day, else the end of a change in net asset
-- value, else the newest balance of the day.
SELECT DISTINCT ON (account_id, business_date) account_id, business_date, currency, amount
FROM (
    SELECT f.account_id, f.business_date, min(f.currency) AS currency, sum((f.figures ->> 'total')::numeric) AS amount,
           1 AS place
    FROM broker_figures f
    WHERE f.section = 'EquitySummaryInBase' AND f.figures ? 'total' AND f.business_date > %(first_day)s
    GROUP BY 1, 2
    UNION ALL
    SELECT f.account_id, f.to_date, min(f.currency), sum((f.figures ->> 'endingValue')::numeric), 2
    FROM broker_figures f
    WHERE f.section = 'ChangeInNAV' AND f.figures ? 'endingValue' AND f.business_date > %(first_day)s
    GROUP BY f.account_id, f.to_date, f.from_date
    UNION ALL
    SELECT b.account_id, b.business_date, b.currency, b.net_liquidation, 3
    FROM broker_balances b WHERE b.net_liquidation IS NOT NULL AND b.business_date > %(first_day)s
) AS told
WHERE account_id = ANY (%(accounts)s::text[])
ORDER BY account_id, business_date, place, amount
