-- A record that is read again, and the parts of it that were refused by themselves: their keys go on after a #.
UPDATE quarantine q SET resolved_at = clock_timestamp()
WHERE q.stage = 'normalize' AND q.resolved_at IS NULL AND q.broker = %(broker)s
  AND EXISTS (
      SELECT FROM unnest(%(kinds)s::text[], %(accounts)s::text[], %(keys)s::text[]) AS r (kind, account_id, record_key)
      WHERE (r.kind, r.account_id) = (q.kind, q.account_id)
        AND (r.record_key = q.broker_key OR starts_with(q.broker_key, r.record_key || '#')))
  AND q.quarantine_uid <> ALL (%(still)s)
