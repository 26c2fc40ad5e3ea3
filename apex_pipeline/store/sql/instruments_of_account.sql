-- What an account has ordered, traded or, for options that it held before the known history, been told to have ended.
SELECT i.* FROM instruments i
WHERE i.symbol IN (SELECT symbol FROM orders_norm WHERE account_id = %(account_id)s
                   UNION SELECT symbol FROM trades_norm WHERE account_id = %(account_id)s
                   UNION SELECT symbol FROM cash_movements WHERE account_id = %(account_id)s AND symbol IS NOT NULL
                   UNION SELECT leg.symbol FROM orders_norm o, jsonb_to_recordset(o.legs) AS leg (symbol text)
                         WHERE o.account_id = %(account_id)s AND o.legs IS NOT NULL)
