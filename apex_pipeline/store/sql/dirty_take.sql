DELETE FROM dirty_days
WHERE stage = %(stage)s AND broker = %(broker)s
  AND (account_id, business_date) IN (SELECT * FROM unnest(%(accounts)s::text[], %(dates)s::date[]))
