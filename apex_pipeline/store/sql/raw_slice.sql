-- The raw records of some days, and every other record of the orders seen there: an order is read as a whole.
WITH days AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(dates)s::date[]) AS d (account_id, business_date)
), on_days AS (
    SELECT r.* FROM raw_records r JOIN days USING (account_id, business_date) WHERE r.broker = %(broker)s
), linked AS (
    SELECT DISTINCT account_id, order_id FROM on_days WHERE order_id IS NOT NULL
)
SELECT kind, account_id, record_key, order_id, business_date, payload, generated_at FROM on_days
UNION ALL
SELECT r.kind, r.account_id, r.record_key, r.order_id, r.business_date, r.payload, r.generated_at
FROM linked JOIN raw_records r USING (account_id, order_id)
WHERE r.broker = %(broker)s
  AND NOT EXISTS (SELECT FROM days d WHERE d.account_id = r.account_id AND d.business_date = r.business_date)
ORDER BY 1, 2, 3
