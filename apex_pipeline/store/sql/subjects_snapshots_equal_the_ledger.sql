-- Snapshots that can be compared, by the rules of the check.
WITH chosen AS MATERIALIZED (
    SELECT broker, account_id, captured_at, coalesce(watermark_at, captured_at) AS mark, watermark_count
    FROM position_snapshots WHERE captured_at >= %(from_date)s::date AND captured_at < %(to_date)s::date + 1
), event AS (
    SELECT m.broker, m.account_id, coalesce(m.moved_at, m.ordered_at) AS at, 1 AS movements, false AS is_mark
    FROM position_movements m WHERE (m.broker, m.account_id) IN (SELECT broker, account_id FROM chosen)
    UNION ALL
    SELECT DISTINCT broker, account_id, mark, 0, true FROM chosen
), counted AS (
    SELECT e.*,
           sum(movements) OVER (PARTITION BY broker, account_id ORDER BY at, is_mark ROWS UNBOUNDED PRECEDING) AS moved
    FROM event e
)
SELECT s.broker, s.account_id, (s.captured_at AT TIME ZONE 'UTC')::date AS business_date, count(*) AS subjects
FROM chosen s JOIN counted c ON c.is_mark AND c.broker = s.broker AND c.account_id = s.account_id AND c.at = s.mark
WHERE is_comparable(s.broker, s.account_id, s.captured_at, s.mark, s.watermark_count, c.moved)
GROUP BY 1, 2, 3
