SELECT broker, data_type, account_id, from_date, to_date, finished_at, error FROM loads
WHERE status = 'FAILED' ORDER BY load_id DESC LIMIT 5
