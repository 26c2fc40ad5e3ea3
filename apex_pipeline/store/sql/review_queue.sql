-- Strategies of which a mistake would matter most: the money they moved times the doubt about their name.
SELECT strategy_uid, broker, account_id, underlying, strategy_type, name, action, trade_date, confidence, rival_type,
       rival_confidence, net_premium, realized_pnl, currency, why, trim_scale(money * (1 - confidence)) AS weight,
       (SELECT jsonb_agg(DISTINCT m.order_uid) FROM order_strategy_map m WHERE m.strategy_uid = s.strategy_uid) AS order_uids
FROM (
    SELECT *, abs(coalesce(realized_pnl, 0) + coalesce(net_premium, 0)) AS money FROM strategies
    WHERE method <> 'manual' AND confidence < 1
) AS s
ORDER BY weight DESC, confidence, strategy_uid
LIMIT %(most)s
