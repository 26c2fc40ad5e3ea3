SELECT 'IB' AS broker, f.account_id, f.business_date, count(*) AS subjects
FROM broker_trade_figures f
JOIN (
    SELECT account_id, mode() WITHIN GROUP (ORDER BY to_currency) AS currency
    FROM conversion_rates WHERE broker = 'IB' GROUP BY 1
) AS base USING (account_id)
WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.fx_rate_to_base <> 0
  AND (f.currency = base.currency
       OR EXISTS (SELECT FROM conversion_rates r
                  WHERE r.account_id = f.account_id AND r.business_date = f.business_date
                    AND r.from_currency = f.currency AND r.to_currency = base.currency))
GROUP BY 1, 2, 3
