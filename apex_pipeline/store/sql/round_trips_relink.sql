-- Round trips of these accounts follow the strategy of the order that opened them; the larger part of it decides.
WITH told AS (
    SELECT DISTINCT ON (r.trade_id) r.trade_id, o.strategy_uid
    FROM round_trips r
    JOIN trades_norm t ON t.trade_uid = substr(r.trade_id, length(r.account_id) + 2)
    LEFT JOIN order_strategy_map o ON o.order_uid = t.order_uid
    WHERE r.source = 'LEDGER' AND r.account_id = ANY (%(accounts)s)
    ORDER BY r.trade_id, o.qty_in_strategy DESC NULLS LAST, o.strategy_uid
)
UPDATE round_trips r SET strategy_uid = t.strategy_uid FROM told t
WHERE r.trade_id = t.trade_id AND r.strategy_uid IS DISTINCT FROM t.strategy_uid
