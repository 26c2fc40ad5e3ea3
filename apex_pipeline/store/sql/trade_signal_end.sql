-- Who comes second waits for the first, and then finds a signal that is pending no more.
UPDATE trade_signals
SET status = %(status)s,
    executed_at = CASE WHEN %(status)s = 'EXECUTED' THEN coalesce(%(executed_at)s::timestamptz, clock_timestamp()) END
WHERE signal_uid = %(signal_uid)s AND status = 'PENDING'
