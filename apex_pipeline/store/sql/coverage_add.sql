-- Covered when the broker wrote it: an old statement that is imported today is as old as it says.
INSERT INTO load_coverage (load_id, broker, account_id, data_type, market, from_date, to_date, records, covered_at)
VALUES (%(load_id)s, %(broker)s, %(account_id)s, %(data_type)s, %(market)s, %(from_date)s, %(to_date)s, %(records)s,
        least(%(told_at)s::timestamptz, clock_timestamp()))
