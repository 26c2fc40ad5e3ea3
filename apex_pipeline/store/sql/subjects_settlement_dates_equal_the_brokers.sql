SELECT broker, account_id, trade_date AS business_date, count(*) AS subjects FROM settlement_tracking
WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND broker_settlement_date IS NOT NULL AND settlement_date IS NOT NULL
  AND (market, currency) IN (('US', 'USD'), ('HK', 'HKD'), ('UK', 'GBP'), ('JP', 'JPY'), ('SG', 'SGD'))
GROUP BY 1, 2, 3
