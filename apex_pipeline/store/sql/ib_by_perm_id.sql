-- Only TWS tells permanent ids; a statement tells the same executions, perhaps in a later revision (the last part).
SELECT DISTINCT ON (t.executed_at, t.trade_uid) t.*
FROM provisional_raw_ib p
JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = p.account_id
    AND t.exec_id > (p.payload ->> '_root') || '.' AND t.exec_id < (p.payload ->> '_root') || '/'
WHERE p.payload ->> 'permId' = %(perm_id)s AND p.account_id = coalesce(%(account_id)s, p.account_id)
ORDER BY t.executed_at, t.trade_uid
