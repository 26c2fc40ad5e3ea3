UPDATE quarantine q SET resolved_at = clock_timestamp()
WHERE q.stage = 'normalize' AND q.resolved_at IS NULL AND q.broker = %(broker)s
  AND (q.kind, q.account_id, q.broker_key) IN (SELECT * FROM unnest(%(kinds)s::text[], %(accounts)s::text[], %(keys)s::text[]))
  AND q.quarantine_uid <> ALL (%(still)s)
