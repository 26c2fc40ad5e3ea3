-- After many new rows the planner must not believe that these tables are as they were.
ANALYZE position_movements (movement_uid, account_id, instrument_id, business_date, kind, link_id);
ANALYZE lots (lot_uid, account_id, instrument_id, started_on, closed_on);
ANALYZE realized_pnl (realized_uid, account_id, instrument_id, closed_on, lot_uid, close_trade_uid)
