SELECT broker, account_id, to_date AS business_date, count(DISTINCT (currency, from_date)) AS subjects
FROM broker_figures
WHERE section = 'CashReport' AND currency ~ '^([A-Z]{3}|BASE_SUMMARY)$' AND from_date IS NOT NULL
  AND figures ?& ARRAY['startingCash', 'endingCash'] AND to_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
