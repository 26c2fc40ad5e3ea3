SELECT broker, account_id, business_date, count(*) AS subjects FROM broker_figures
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND section = 'ChangeInNAV'
  AND figures ?& ARRAY['startingValue', 'endingValue']
GROUP BY 1, 2, 3
