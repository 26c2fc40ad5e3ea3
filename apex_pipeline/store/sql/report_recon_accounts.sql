SELECT broker, account_id, min(business_date) AS from_date, max(business_date) AS to_date, count(*) AS days,
       sum(compared) AS compared, sum(matched) AS matched, sum(open_errors) AS open_errors, sum(open_warnings) AS open_warnings,
       sum(explained) AS explained, sum(accepted) AS accepted, max(oldest_age_bd) AS oldest_age_bd, sum(opened) AS opened,
       sum(closed) AS closed
FROM reconciliation_report WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2 ORDER BY sum(open_errors) DESC, 1, 2
