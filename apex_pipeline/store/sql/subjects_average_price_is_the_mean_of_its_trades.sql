-- B02. Orders that tell an average price and whose trades are as much as was filled; combinations where the account
-- tells net prices for them (see the check). Quantities are compared in whole parts of the orders first, as in B01.
WITH apart AS MATERIALIZED (
    SELECT digest & 1023 AS part
    FROM (
        SELECT hashtextextended(order_uid, 0) AS digest, filled_qty AS qty FROM orders_norm
        WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND filled_qty > 0 AND legs IS NULL
        UNION ALL
        SELECT hashtextextended(o.order_uid, 0), o.filled_qty * leg.ratio
        FROM orders_norm o CROSS JOIN LATERAL jsonb_to_recordset(o.legs) AS leg (ratio numeric)
        WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.filled_qty > 0 AND o.legs IS NOT NULL
        UNION ALL
        SELECT hashtextextended(order_uid, 0), -qty FROM trades_norm
        WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND effective AND order_uid IS NOT NULL
    ) AS quantity
    GROUP BY 1 HAVING sum(qty * digest) <> 0
), combination AS MATERIALIZED (
    SELECT o.order_uid, o.account_id, o.avg_price, o.filled_qty, o.multiplier, sum(t.qty) AS qty,
           sum(t.qty * t.price * t.multiplier * CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END) AS net,
           sum(t.qty * t.price * t.multiplier) AS gross,
           count(*) FILTER (WHERE t.trade_uid IS NOT NULL AND t.multiplier IS NULL) AS unsized
    FROM orders_norm o LEFT JOIN trades_norm t ON t.order_uid = o.order_uid AND t.effective
    WHERE o.legs IS NOT NULL AND o.avg_price IS NOT NULL AND o.filled_qty > 0 AND o.multiplier > 0
      AND o.source <> 'futu_deals' AND o.account_id IN (
          SELECT account_id FROM orders_norm
          WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND legs IS NOT NULL)
    GROUP BY o.order_uid
), net_prices AS MATERIALIZED (
    SELECT account_id FROM combination
    GROUP BY 1
    HAVING count(*) * 3 <= 4 * count(*) FILTER (
        WHERE abs(abs(avg_price) * filled_qty * multiplier - abs(net))
              <= 0.0001 * gross + 0.0005 * filled_qty * multiplier)
), single AS MATERIALIZED (
    SELECT o.broker, o.account_id, o.trade_date, count(*) FILTER (
               WHERE hashtextextended(o.order_uid, 0) & 1023 NOT IN (SELECT part FROM apart) OR o.filled_qty = (
                   SELECT sum(t.qty) FROM trades_norm t WHERE t.order_uid = o.order_uid AND t.effective)) AS subjects
    FROM orders_norm o
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.avg_price IS NOT NULL AND o.filled_qty > 0
      AND o.source <> 'futu_deals' AND o.legs IS NULL
    GROUP BY 1, 2, 3
), combined AS MATERIALIZED (
    SELECT o.broker, o.account_id, o.trade_date, count(*) AS subjects
    FROM combination c JOIN orders_norm o USING (order_uid)
    WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND c.unsized = 0
      AND o.account_id IN (SELECT account_id FROM net_prices)
      AND c.qty = (SELECT o.filled_qty * sum(leg.ratio) FROM jsonb_to_recordset(o.legs) AS leg (ratio numeric))
    GROUP BY 1, 2, 3
)
SELECT broker, account_id, trade_date AS business_date, sum(subjects) AS subjects
FROM (SELECT * FROM single WHERE subjects > 0 UNION ALL SELECT * FROM combined) AS compared
GROUP BY 1, 2, 3
