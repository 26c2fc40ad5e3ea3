SELECT first_fill_at AS at, account_id, underlying, name, action, sub_type, confidence, legs, net_premium, currency, width, max_profit,
       profit_unlimited, max_loss, loss_unlimited, break_evens, realized_pnl, why
FROM strategies ORDER BY trade_date DESC, first_fill_at DESC NULLS LAST, strategy_uid
LIMIT %(most)s
