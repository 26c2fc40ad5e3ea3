SELECT count(*) AS open_breaks, count(*) FILTER (WHERE severity = 'ERROR') AS error_breaks FROM recon_breaks WHERE state = 'OPEN'
