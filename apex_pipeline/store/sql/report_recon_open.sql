-- Open breaks, those that matter most first: errors, then material ones, then by amount and age.
SELECT severity, check_name, broker, account_id, business_date, subject, expected, actual, delta, currency, delta_base,
       cause, age_bd, break_uid
FROM recon_breaks
WHERE state = 'OPEN' AND (business_date BETWEEN %(from_date)s AND %(to_date)s OR business_date IS NULL)
ORDER BY severity = 'ERROR' DESC, severity = 'WARN' DESC, is_material DESC, abs(delta_base) DESC NULLS LAST, age_bd DESC NULLS LAST,
         business_date DESC, break_uid
