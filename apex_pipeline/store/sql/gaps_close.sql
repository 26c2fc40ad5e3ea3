-- Known gaps of these days that are none any more.
DELETE FROM load_gaps g
WHERE g.broker = %(broker)s AND g.account_id = %(account_id)s AND g.business_date BETWEEN %(from_date)s AND %(to_date)s
  AND NOT EXISTS (SELECT FROM unnest(%(data_types)s::text[], %(days)s::date[]) AS still (data_type, business_date)
                  WHERE still.data_type = g.data_type AND still.business_date = g.business_date)
