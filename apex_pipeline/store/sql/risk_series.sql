SELECT captured_at, (metrics ->> %(metric)s)::numeric AS value
FROM risk_snapshots
WHERE scope = %(scope)s AND jsonb_typeof(metrics -> %(metric)s) = 'number'
  AND captured_at >= coalesce(%(start)s::timestamptz, '-infinity')
  AND captured_at <= coalesce(%(end)s::timestamptz, 'infinity')
ORDER BY captured_at
