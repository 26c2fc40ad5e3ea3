SELECT severity, count(*) AS breaks FROM recon_breaks WHERE state = 'OPEN' GROUP BY 1
