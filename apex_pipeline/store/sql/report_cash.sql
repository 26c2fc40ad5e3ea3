-- The newest state of cash of every account and currency, beside what the broker says of that day.
SELECT DISTINCT ON (s.broker, s.account_id, s.currency)
       s.broker, s.account_id, s.currency, s.total_cash, s.settled_cash, s.unsettled_cash, b.cash AS by_the_broker, s.as_of
FROM cash_account_state s
LEFT JOIN broker_balances b ON b.broker = s.broker AND b.account_id = s.account_id AND b.currency = s.currency
                           AND b.business_date = s.as_of
ORDER BY s.broker, s.account_id, s.currency, s.as_of DESC
