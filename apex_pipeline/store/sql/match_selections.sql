-- The lots that a person chose for closings of an account.
SELECT s.close_trade_uid, s.open_trade_uid, s.qty FROM position_movements m
JOIN lot_selections s ON s.close_trade_uid = m.movement_uid
WHERE m.account_id = %(account_id)s AND m.instrument_id = ANY (%(instruments)s)
ORDER BY 1, 2
