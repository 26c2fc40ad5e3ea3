-- The newest snapshot of each account, where it can be compared.
SELECT s.broker, s.account_id, (s.captured_at AT TIME ZONE 'UTC')::date AS business_date, count(*) AS subjects
FROM (SELECT DISTINCT broker, account_id FROM position_snapshots
      WHERE captured_at >= %(from_date)s::date AND captured_at < %(to_date)s::date + 1) AS asked
CROSS JOIN LATERAL (
    SELECT p.*, coalesce(p.watermark_at, p.captured_at) AS mark FROM position_snapshots p
    WHERE p.broker = asked.broker AND p.account_id = asked.account_id ORDER BY p.captured_at DESC LIMIT 1) AS s
CROSS JOIN LATERAL (
    SELECT count(*) AS movements FROM position_movements m
    WHERE m.account_id = s.account_id AND m.broker = s.broker AND coalesce(m.moved_at, m.ordered_at) <= s.mark) AS now
WHERE s.captured_at < %(to_date)s::date + 1
  AND is_comparable(s.broker, s.account_id, s.captured_at, s.mark, s.watermark_count, now.movements)
GROUP BY 1, 2, 3
