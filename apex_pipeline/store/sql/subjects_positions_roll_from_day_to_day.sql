-- Every position that was held at the end of a day or moved on it.
SELECT broker, account_id, business_date, count(*) AS subjects
FROM (SELECT broker, account_id, business_date, instrument_id FROM positions_daily
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
      UNION
      SELECT broker, account_id, business_date, instrument_id FROM position_movements
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s) AS held
GROUP BY 1, 2, 3
