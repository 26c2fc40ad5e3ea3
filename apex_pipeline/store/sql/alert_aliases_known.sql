SELECT broker, account_id, alias FROM account_aliases ORDER BY 1, length(alias), alias
