SELECT m.broker, m.account_id, m.booked_on AS business_date, count(*) AS subjects
FROM cash_movements m JOIN cash_raw_ib r ON r.account_id = m.account_id AND r.record_key = m.broker_cash_id
WHERE m.booked_on BETWEEN %(from_date)s AND %(to_date)s AND m.broker = 'IB' AND m.source = 'FLEX'
GROUP BY 1, 2, 3
