INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, finished_at, error,
                   is_refused)
VALUES (%(run_id)s, %(broker)s, %(data_type)s, %(account_id)s, %(market)s, %(from_date)s, %(to_date)s,
        'FAILED', %(started_at)s, clock_timestamp(), %(error)s, %(is_refused)s)
