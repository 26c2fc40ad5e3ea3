SELECT account_id, business_date AS on_date, from_currency AS source, to_currency AS target, rate
FROM conversion_rates
WHERE business_date > %(first_day)s
  AND (from_currency = ANY (%(currencies)s::text[]) OR to_currency = ANY (%(currencies)s::text[]))
