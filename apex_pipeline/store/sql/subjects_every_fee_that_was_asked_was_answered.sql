-- Orders with fills of each day whose fee was asked for. An order is asked for again until its fee is told.
WITH asked AS MATERIALIZED (
    SELECT DISTINCT o.request #>> '{c2s,header,accID}' AS account_id, ids.order_id
    FROM raw_observations o
    CROSS JOIN LATERAL jsonb_array_elements_text(
        CASE jsonb_typeof(o.request #> '{c2s,orderIdExList}') WHEN 'array' THEN o.request #> '{c2s,orderIdExList}' END
    ) AS ids (order_id)
    WHERE o.interface = 'Trd_GetOrderFee'
)
SELECT o.broker, o.account_id, o.trade_date AS business_date, count(*) AS subjects
FROM orders_norm o JOIN asked a ON a.account_id = o.account_id AND a.order_id = o.broker_order_id
WHERE o.broker = 'FUTU' AND o.trade_date BETWEEN greatest(%(from_date)s, date '2018-01-01') AND %(to_date)s
  AND o.filled_qty > 0
GROUP BY 1, 2, 3
