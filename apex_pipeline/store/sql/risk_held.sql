-- What accounts hold at the end of these days.
SELECT p.account_id, p.symbol, coalesce(p.underlying, p.symbol) AS underlying, p.market_value AS value, p.currency
FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS due (account_id, business_date)
JOIN positions_daily p ON p.account_id = due.account_id AND p.business_date = due.business_date
WHERE p.asset_class NOT IN ('FX', 'COMBO')
ORDER BY p.account_id, p.instrument_id
