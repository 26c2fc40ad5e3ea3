-- What every check compared, and its breaks by state.
SELECT check_name, coalesce(sum(r.compared), 0) AS compared, count(DISTINCT r.business_date) AS days,
       max(b.open) AS open, max(b.explained) AS explained, max(b.accepted) AS accepted
FROM (SELECT check_name, business_date, compared FROM recon_results
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s) AS r
FULL JOIN (
    SELECT check_name, count(*) FILTER (WHERE state = 'OPEN') AS open, count(*) FILTER (WHERE state = 'EXPLAINED') AS explained,
           count(*) FILTER (WHERE state = 'ACCEPTED') AS accepted
    FROM recon_breaks WHERE state <> 'CLOSED' AND (business_date BETWEEN %(from_date)s AND %(to_date)s OR business_date IS NULL)
    GROUP BY 1
) AS b USING (check_name)
GROUP BY 1
