SELECT * FROM strategy_corrections ORDER BY made_at, correction_uid
