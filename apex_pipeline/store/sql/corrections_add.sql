INSERT INTO strategy_corrections (correction_uid, broker, account_id, underlying, order_uids, strategy_type, action, reason,
                                  made_by, made_at)
VALUES (%(correction_uid)s, %(broker)s, %(account_id)s, %(underlying)s, %(orders)s, %(strategy_type)s, %(action)s, %(reason)s,
        coalesce(%(made_by)s, session_user), %(made_at)s)
RETURNING *
