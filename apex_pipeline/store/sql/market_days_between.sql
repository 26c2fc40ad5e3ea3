SELECT calendar, on_date, is_session, is_settlement_day, opens_at, closes_at FROM market_days
WHERE calendar = %(calendar)s AND on_date BETWEEN %(from_date)s AND %(to_date)s ORDER BY on_date
