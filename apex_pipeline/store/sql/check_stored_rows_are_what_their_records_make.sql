-- A11. Every stage seals the account-days that it wrote: the number of rows and the sum of their digests. Where what is stored
-- now is something else, a row was changed, added or removed beside the stages. Which row it is, reconciliation finds by
-- having the stages write it again in a rehearsal. Instruments belong to no account and no day.
WITH asked AS (
    SELECT table_name, day_of LIKE 'DATE %%' AS is_undated FROM sealed_tables WHERE NOT is_raw
), present AS MATERIALIZED (
    SELECT a.table_name, p.*
    FROM asked a CROSS JOIN LATERAL rows_sealed(
        a.table_name, CASE WHEN a.is_undated THEN '-infinity' ELSE %(from_date)s::date END,
        CASE WHEN a.is_undated THEN 'infinity' ELSE %(to_date)s::date END) AS p
), sealed AS (
    SELECT s.* FROM seals s JOIN asked a USING (table_name)
    WHERE a.is_undated OR s.business_date BETWEEN %(from_date)s AND %(to_date)s
), brokers AS (
    SELECT account_id, min(broker) AS broker FROM load_coverage GROUP BY 1
)
SELECT k.broker, nullif(account_id, '') AS account_id,
       concat_ws(' ', table_name, nullif(account_id, '')) AS subject, CASE WHEN NOT a.is_undated THEN business_date END AS business_date,
       coalesce(s.rows, 0)::numeric AS expected, coalesce(p.rows, 0)::numeric AS actual, 'ERROR' AS severity, 'PIPELINE' AS cause,
       jsonb_build_object('table', table_name, 'rows_sealed', coalesce(s.rows, 0), 'rows_present', coalesce(p.rows, 0),
                          'written_last', rows_written_last(table_name, account_id, business_date)) AS evidence
FROM sealed s FULL JOIN present p USING (table_name, account_id, business_date)
JOIN asked a USING (table_name)
LEFT JOIN brokers k USING (account_id)
WHERE (coalesce(s.rows, 0), coalesce(s.digest, 0)) <> (coalesce(p.rows, 0), coalesce(p.digest, 0))
ORDER BY 3, 4
