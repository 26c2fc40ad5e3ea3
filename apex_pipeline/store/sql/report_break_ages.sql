-- Open breaks by how many business days they have stood.
SELECT severity, count(*) AS breaks, count(*) FILTER (WHERE age_bd <= 1) AS up_to_1_day,
       count(*) FILTER (WHERE age_bd BETWEEN 2 AND 5) AS "2_to_5_days", count(*) FILTER (WHERE age_bd BETWEEN 6 AND 20) AS "6_to_20_days",
       count(*) FILTER (WHERE age_bd > 20) AS over_20_days, count(*) FILTER (WHERE age_bd IS NULL) AS age_unknown
FROM recon_breaks WHERE state = 'OPEN'
GROUP BY 1 ORDER BY severity = 'ERROR' DESC, severity = 'WARN' DESC
