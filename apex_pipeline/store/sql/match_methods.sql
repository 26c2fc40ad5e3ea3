SELECT account_id, from_date, value FROM account_rules WHERE rule = 'LOT_METHOD' ORDER BY account_id, from_date
