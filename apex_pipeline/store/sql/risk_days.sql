SELECT (s.captured_at AT TIME ZONE 'UTC')::date AS day, m.key AS metric,
       (array_agg(v.value ORDER BY s.captured_at))[1] AS first, (array_agg(v.value ORDER BY s.captured_at DESC))[1] AS last,
       min(v.value) AS min, max(v.value) AS max, round(avg(v.value), 10) AS mean, count(*) AS count
FROM risk_snapshots s
CROSS JOIN LATERAL jsonb_each(s.metrics) AS m
CROSS JOIN LATERAL (SELECT (m.value #>> '{}')::numeric AS value WHERE jsonb_typeof(m.value) = 'number') AS v
WHERE s.scope = %(scope)s
  AND s.captured_at >= %(first)s::date::timestamp AT TIME ZONE 'UTC'
  AND s.captured_at < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY 1, 2 ORDER BY 1, 2
