-- By steps over the accounts of the table, each of which is asked by its key.
WITH RECURSIVE accounts AS (
    (SELECT account_id FROM raw_records WHERE broker = %(broker)s AND kind = %(kind)s ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT next.account_id
    FROM accounts a CROSS JOIN LATERAL (
        SELECT r.account_id FROM raw_records r
        WHERE r.broker = %(broker)s AND r.kind = %(kind)s AND r.account_id > a.account_id ORDER BY r.account_id LIMIT 1
    ) AS next
), asked AS (
    SELECT account_id FROM accounts WHERE account_id = coalesce(%(account_id)s, account_id)
)
SELECT a.account_id, r.payload, r.fetched_at, NULL::timestamptz AS superseded_at, NULL::bigint AS version_id
FROM asked a CROSS JOIN LATERAL (
    SELECT * FROM raw_records r
    WHERE r.broker = %(broker)s AND r.kind = %(kind)s AND r.account_id = a.account_id AND r.record_key = %(record_key)s
) AS r
UNION ALL
SELECT a.account_id, v.payload, v.fetched_at, v.superseded_at, v.version_id
FROM asked a JOIN raw_versions v ON v.table_name = %(kind)s || '_raw_' || lower(%(broker)s) AND v.account_id = a.account_id
                                AND v.record_key = %(record_key)s
ORDER BY 4 DESC NULLS FIRST, 5 DESC
