-- A01. Every load seals the account-days of the raw tables that it wrote: the number of records and the sum of their
-- digests. Where what is stored now is something else, a record was changed, added or taken away beside the loads. A
-- version that its own load is said to have replaced was changed by hand: there the earlier payload is known. And the
-- bytes that were received for these days still have the digest that they had when they were stored.
WITH present AS MATERIALIZED (
    SELECT s.table_name, p.* FROM sealed_tables s CROSS JOIN LATERAL rows_sealed(s.table_name, %(from_date)s,
        %(to_date)s) AS p
    WHERE s.is_raw
), sealed AS (
    SELECT s.* FROM seals s JOIN sealed_tables USING (table_name)
    WHERE is_raw AND business_date BETWEEN %(from_date)s AND %(to_date)s
), broken AS MATERIALIZED (
    SELECT table_name, account_id, business_date, coalesce(s.rows, 0) AS expected, coalesce(p.rows, 0) AS actual
    FROM sealed s FULL JOIN present p USING (table_name, account_id, business_date)
    WHERE (coalesce(s.rows, 0), coalesce(s.digest, 0)) <> (coalesce(p.rows, 0), coalesce(p.digest, 0))
)
SELECT upper(substring(b.table_name FROM '[a-z]+$')) AS broker, b.account_id,
       b.table_name || ' ' || b.account_id AS subject, b.business_date, b.expected::numeric AS expected,
       b.actual::numeric AS actual, 'ERROR' AS severity, 'PIPELINE' AS cause,
       jsonb_build_object(
           'table', b.table_name, 'records_sealed', b.expected, 'records_present', b.actual,
           'changed', changed.told, 'written_last', written.told,
           'rows', coalesce(changed.rows, written.rows, '[]'::jsonb)) AS evidence
FROM broken b
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('record_key', v.record_key, 'was', v.payload)) AS told,
           jsonb_agg(concat_ws('/', b.table_name, v.account_id, v.record_key)) AS rows
    FROM (
        SELECT v.record_key, v.account_id, v.payload FROM raw_versions v
        WHERE v.table_name = b.table_name AND v.account_id = b.account_id AND v.business_date = b.business_date
          AND v.superseded_at = v.fetched_at
        ORDER BY v.version_id DESC LIMIT 5
    ) AS v
) AS changed ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(row ->> 'record_key') AS told, jsonb_agg(concat_ws('/', b.table_name, b.account_id,
        row ->> 'record_key')) AS rows
    FROM jsonb_array_elements(rows_written_last(b.table_name, b.account_id, b.business_date)) AS row
) AS written ON changed.told IS NULL AND b.actual >= b.expected
UNION ALL
SELECT o.broker, o.account_id, 'raw_documents ' || d.document_id, least(o.on_date, %(to_date)s), NULL, NULL, 'ERROR',
    'PIPELINE',
       jsonb_build_object('table', 'raw_documents', 'document_id', d.document_id, 'interface', o.interface,
                          'sha256', d.sha256, 'received_at', d.first_received_at,
                          'rows', jsonb_build_array('raw_documents/' || d.document_id))
FROM raw_documents d
JOIN LATERAL (
    SELECT s.broker, s.interface, CASE WHEN count(*) OVER () = 1 THEN l.account_id END AS account_id,
           greatest(l.from_date, %(from_date)s::date) AS on_date
    FROM raw_observations s JOIN loads l USING (load_id)
    WHERE s.document_id = d.document_id AND l.from_date <= %(to_date)s AND l.to_date >= %(from_date)s
    ORDER BY l.load_id LIMIT 1
) AS o ON true
WHERE sha256(d.content) <> d.content_digest
ORDER BY 3, 4
