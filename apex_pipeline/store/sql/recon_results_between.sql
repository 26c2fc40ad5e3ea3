SELECT check_name, business_date, sum(compared) AS compared FROM recon_results
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1, 2
