SELECT account_id, rule, from_date, value, set_at FROM account_rules ORDER BY 1, 2, 3
