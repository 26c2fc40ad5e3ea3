SELECT calendar, on_date, is_session, is_settlement_day, opens_at, closes_at FROM market_days
