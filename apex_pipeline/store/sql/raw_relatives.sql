-- Records of a kind whose payload says one of these values in this field, and every other record of their orders. The field is
-- compared by itself, so that an index on its expression serves; values of another account only bring more records.
WITH found AS MATERIALIZED (
    SELECT account_id, record_key, order_id FROM raw_records
    WHERE broker = %(broker)s AND kind = %(kind)s AND account_id = ANY (%(accounts)s)
      AND btrim(payload ->> %(field)s) = ANY (%(values)s)
)
SELECT r.kind, r.account_id, r.record_key, r.order_id, r.business_date, r.payload, r.generated_at
FROM found JOIN raw_records r USING (account_id, record_key)
WHERE r.broker = %(broker)s AND r.kind = %(kind)s
UNION
SELECT r.kind, r.account_id, r.record_key, r.order_id, r.business_date, r.payload, r.generated_at
FROM found JOIN raw_records r USING (account_id, order_id)
WHERE r.broker = %(broker)s
ORDER BY 1, 2, 3
