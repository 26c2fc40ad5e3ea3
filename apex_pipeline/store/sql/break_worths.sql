-- The rate from a currency to the base currency of an account on a day, and what the account was worth then: the newest known.
SELECT a.place, CASE WHEN value.currency = a.currency THEN 1 ELSE coalesce(rate.rate, 1 / nullif(inverse.rate, 0)) END AS rate,
       value.net_liquidation AS net_value
FROM unnest(%(accounts)s::text[], %(dates)s::date[], %(currencies)s::text[]) WITH ORDINALITY
     AS a (account_id, business_date, currency, place)
JOIN LATERAL (
    SELECT p.currency, p.net_liquidation FROM performance_metrics p
    WHERE p.account_id = a.account_id AND p.period = 'DAY' AND p.scope = 'ACCOUNT' AND p.business_date <= a.business_date
    ORDER BY p.business_date DESC LIMIT 1
) AS value ON true
LEFT JOIN LATERAL (
    SELECT c.rate FROM conversion_rates c
    WHERE c.business_date BETWEEN a.business_date - 7 AND a.business_date
      AND (c.from_currency, c.to_currency) = (a.currency, value.currency)
    ORDER BY c.business_date DESC LIMIT 1
) AS rate ON true
LEFT JOIN LATERAL (
    SELECT c.rate FROM conversion_rates c
    WHERE c.business_date BETWEEN a.business_date - 7 AND a.business_date
      AND (c.from_currency, c.to_currency) = (value.currency, a.currency)
    ORDER BY c.business_date DESC LIMIT 1
) AS inverse ON true
