INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT stage, %(broker)s, %(account_id)s, %(business_date)s FROM unnest(%(stages)s::text[]) AS stage
ON CONFLICT DO NOTHING
