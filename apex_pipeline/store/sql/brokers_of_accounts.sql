SELECT account_id, min(broker) AS broker FROM load_coverage WHERE account_id = ANY (%(accounts)s) GROUP BY 1
