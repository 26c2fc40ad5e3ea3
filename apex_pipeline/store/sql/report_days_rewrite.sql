-- The report of these days: every account and day of which anything was compared or does not agree. What opened and
-- closed is that of the last run.
WITH compared AS (
    SELECT business_date, broker, account_id, count(*) AS checks, sum(compared) AS compared
    FROM recon_results WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2, 3
), changed AS (
    SELECT b.break_uid, bool_or(c.to_state = 'OPEN' AND c.from_state IS DISTINCT FROM 'OPEN') AS opened,
           bool_or(c.to_state = 'CLOSED') AS closed
    FROM recon_changes c JOIN recon_breaks b USING (break_uid) WHERE c.run_id = %(run_id)s GROUP BY 1
), broken AS (
    SELECT coalesce(b.business_date, %(to_date)s) AS business_date, coalesce(b.broker, '') AS broker,
           coalesce(b.account_id, '') AS account_id,
           count(*) FILTER (WHERE b.state = 'OPEN' AND b.severity = 'ERROR') AS open_errors,
           count(*) FILTER (WHERE b.state = 'OPEN' AND b.severity <> 'ERROR') AS open_warnings,
           count(*) FILTER (WHERE b.state = 'EXPLAINED') AS explained,
           count(*) FILTER (WHERE b.state = 'ACCEPTED') AS accepted,
           max(b.age_bd) FILTER (WHERE b.state = 'OPEN') AS oldest_age_bd,
           count(*) FILTER (WHERE c.opened) AS opened, count(*) FILTER (WHERE c.closed) AS closed
    FROM recon_breaks b LEFT JOIN changed c USING (break_uid)
    WHERE b.business_date BETWEEN %(from_date)s AND %(to_date)s OR b.business_date IS NULL
    GROUP BY 1, 2, 3
), due AS (
    SELECT business_date, broker, account_id, coalesce(c.checks, 0) AS checks, coalesce(c.compared, 0) AS compared,
           greatest(coalesce(c.compared, 0) - coalesce(b.open_errors + b.open_warnings + b.explained + b.accepted, 0), 0) AS matched,
           coalesce(b.open_errors, 0) AS open_errors, coalesce(b.open_warnings, 0) AS open_warnings,
           coalesce(b.explained, 0) AS explained, coalesce(b.accepted, 0) AS accepted, b.oldest_age_bd,
           coalesce(b.opened, 0) AS opened, coalesce(b.closed, 0) AS closed
    FROM compared c FULL JOIN broken b USING (business_date, broker, account_id)
), gone AS (
    DELETE FROM reconciliation_report r
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s
      AND NOT EXISTS (SELECT FROM due d WHERE (d.business_date, d.broker, d.account_id) = (r.business_date, r.broker, r.account_id))
)
INSERT INTO reconciliation_report AS r SELECT * FROM due
ON CONFLICT (business_date, broker, account_id) DO UPDATE SET
    checks = EXCLUDED.checks, compared = EXCLUDED.compared, matched = EXCLUDED.matched, open_errors = EXCLUDED.open_errors,
    open_warnings = EXCLUDED.open_warnings, explained = EXCLUDED.explained, accepted = EXCLUDED.accepted,
    oldest_age_bd = EXCLUDED.oldest_age_bd, opened = EXCLUDED.opened, closed = EXCLUDED.closed
WHERE r IS DISTINCT FROM EXCLUDED
