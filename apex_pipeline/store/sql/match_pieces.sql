-- First in, first out, of all plain instruments at once: the k-th unit bought meets the k-th unit sold, whichever came
-- first. So the pieces are what lies between the neighbouring ends of movements, of both sides together.
CREATE TEMPORARY TABLE IF NOT EXISTS units (
    instrument integer, n integer, qty numeric, upto numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE pieces ON COMMIT DROP AS
SELECT least(buy, sell) AS opened, greatest(buy, sell) AS closed, first_unit, last_unit
FROM (
    SELECT lead(upto, 1, 0) OVER downwards AS first_unit, upto AS last_unit,
        min(n) FILTER (WHERE qty > 0) OVER downwards AS buy, min(n) FILTER (WHERE qty < 0) OVER downwards AS sell
    FROM units
    WINDOW downwards AS (PARTITION BY instrument ORDER BY upto DESC ROWS UNBOUNDED PRECEDING)
) AS ends
WHERE buy IS NOT NULL AND sell IS NOT NULL AND last_unit > first_unit;
ANALYZE pieces
