SELECT calendar, on_date, is_session FROM market_days
WHERE calendar IN ('XNYS', 'XHKG') AND on_date BETWEEN %(from_date)s AND %(to_date)s
