SELECT severity, check_name, broker, account_id, subject, business_date, expected, actual, cause, state, age_bd, break_uid
FROM recon_breaks WHERE state IN ('OPEN', 'EXPLAINED')
ORDER BY state = 'OPEN' DESC, severity = 'ERROR' DESC, is_material DESC, business_date DESC, break_uid
