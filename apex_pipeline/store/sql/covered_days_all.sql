SELECT min(from_date) AS from_date, max(to_date) AS to_date FROM load_coverage
