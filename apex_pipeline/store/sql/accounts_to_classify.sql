-- Accounts with orders in the range, with days that changed, and those that an older classifier looked at.
SELECT account_id FROM orders_norm WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s
UNION SELECT account_id FROM dirty_days WHERE stage = 'classify'
UNION SELECT account_id FROM strategy_families WHERE classifier_version <> %(version)s
ORDER BY 1
