-- Rows of orders that no longer exist or are no longer filled; `strategy_inputs` has collected those that are.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_orders (
    LIKE orders_norm, first_fill_at timestamptz, family text COLLATE "C" NOT NULL, is_filled boolean NOT NULL
) ON COMMIT DROP;
SELECT m.order_uid, m.strategy_uid, m.trade_date, m.strategy_type, m.action, m.confidence FROM order_strategy_map m
WHERE m.account_id = %(account_id)s
  AND NOT EXISTS (SELECT FROM strategy_orders o WHERE o.order_uid = m.order_uid AND o.is_filled)
ORDER BY 1, 2
