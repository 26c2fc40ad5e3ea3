-- Open errors; that data is old is told by its deadline.
SELECT break_uid, check_name, broker, account_id, business_date, delta, currency FROM recon_breaks
WHERE state = 'OPEN' AND severity = 'ERROR' AND check_name <> 'the_newest_data_is_fresh'
ORDER BY is_material DESC, abs(delta_base) DESC NULLS LAST, business_date DESC NULLS LAST, break_uid
