-- C10. What Futu called a combination, against what it was read as. Labels name families of shapes, and which types of ours
-- each allows the catalogue tells: the pairs of these days that do not fit are given. A roll has no label of its own; a person's word stands.
SELECT o.broker, o.account_id, m.order_uid || ' ' || m.strategy_uid AS subject, m.trade_date AS business_date,
       NULL::numeric AS expected, NULL::numeric AS actual, 'WARN' AS severity, NULL AS cause,
       jsonb_build_object('order_uid', m.order_uid, 'strategy_uid', m.strategy_uid, 'label', o.declared_strategy,
                          'strategy_type', m.strategy_type, 'action', m.action, 'confidence', m.confidence) AS evidence
FROM order_strategy_map m
JOIN orders_norm o USING (order_uid)
JOIN unnest(%(labels)s::text[], %(types)s::text[]) AS odd (label, strategy_type)
    ON odd.label = o.declared_strategy AND odd.strategy_type = m.strategy_type
WHERE m.trade_date BETWEEN %(from_date)s AND %(to_date)s AND m.action IN ('OPEN', 'CLOSE') AND m.method <> 'manual'
  AND m.sub_type IS DISTINCT FROM 'LEG_OUT'
ORDER BY 3
