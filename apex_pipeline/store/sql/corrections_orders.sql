-- What a correction must know of its orders; the family as in strategy_inputs.
SELECT o.order_uid, o.broker, o.account_id, coalesce(i.underlying, o.underlying, split_part(o.symbol, ' ', 1)) AS underlying,
       o.trade_date, coalesce(o.filled_qty > 0, o.status = 'FILLED') AS is_filled
FROM orders_norm o LEFT JOIN instruments i ON i.symbol = o.symbol
WHERE o.order_uid = ANY (%(orders)s) ORDER BY 1
