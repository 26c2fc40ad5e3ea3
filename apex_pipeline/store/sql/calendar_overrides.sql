SELECT calendar, on_date, is_session, is_settlement_day, closes_at, reason FROM calendar_overrides ORDER BY 1, 2
