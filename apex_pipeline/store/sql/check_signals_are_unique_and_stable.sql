-- E05. A signal that its engine names by a key is one row: a run over the same data finds it there again. A second row
-- under the same source and key is either the same signal twice (it would be acted on twice), or a run that said
-- otherwise than the one before. Signals without a key are not compared. A finding is of the day (UTC) on which the
-- second row came.
WITH told AS (
    SELECT s.*, (s.created_at AT TIME ZONE 'UTC')::date AS on_date,
           jsonb_build_object('symbol', symbol, 'side', side, 'strength', trim_scale(strength)::text,
                              'payload', payload) AS content,
           row_number() OVER one AS n
    FROM trade_signals s
    WHERE (source, signal_key) IN (
        SELECT source, signal_key FROM trade_signals
        WHERE signal_key IS NOT NULL AND created_at >= %(from_date)s::date AND created_at < %(to_date)s::date + 1)
    WINDOW one AS (PARTITION BY source, signal_key ORDER BY created_at, signal_uid)
), again AS (
    SELECT t.*, first.signal_uid AS first_uid, first.content AS first_content, first.created_at AS first_at,
           first.status AS first_status
    FROM told t JOIN told first USING (source, signal_key)
    WHERE t.n > 1 AND first.n = 1 AND t.on_date BETWEEN %(from_date)s AND %(to_date)s
)
SELECT NULL::text AS broker, NULL::text AS account_id, source || ' ' || signal_key AS subject, on_date AS business_date,
       1::numeric AS expected, max(n)::numeric AS actual, 'ERROR' AS severity,
       CASE WHEN bool_and(content = first_content) THEN 'DUPLICATE' ELSE 'PIPELINE' END AS cause,
       jsonb_build_object(
           'source', source, 'signal_key', signal_key,
           'first', max(first_content::text)::jsonb || jsonb_build_object(
               'signal_uid', max(first_uid), 'created_at', max(first_at), 'status', max(first_status)),
           'again', jsonb_agg(content || jsonb_build_object(
               'signal_uid', signal_uid, 'created_at', created_at, 'status', status) ORDER BY n) FILTER (WHERE n <= 20),
           'differs', (SELECT coalesce(jsonb_agg(DISTINCT part.key), '[]')
                       FROM unnest(array_agg(content)) AS said (content), max(first_content::text) AS begun (content),
                            LATERAL jsonb_each(said.content) AS part
                       WHERE part.value IS DISTINCT FROM begun.content::jsonb -> part.key),
           'rows', to_jsonb('trade_signals/' || max(first_uid))
                   || jsonb_agg('trade_signals/' || signal_uid ORDER BY n) FILTER (WHERE n <= 20)
       ) AS evidence
FROM again
GROUP BY source, signal_key, on_date
ORDER BY 3, 4
