SELECT correction_uid, underlying, order_uids, strategy_type, action FROM strategy_corrections
WHERE account_id = %(account_id)s AND revoked_at IS NULL ORDER BY made_at, correction_uid
