-- B05. Orders of Futu of which something was filled, and orders of IB by their executions (see the check).
WITH untold AS (
    SELECT account_id FROM loads WHERE broker = 'FUTU'
    GROUP BY 1
    HAVING (bool_or(data_type = 'futu_orders') AND NOT bool_or(data_type = 'futu_deals'))
        OR bool_or(data_type = 'futu_fees' AND array_to_string(notes, ' ') LIKE '%%is not offered%%')
)
SELECT o.broker, o.account_id, o.trade_date AS business_date, count(*) AS subjects FROM orders_norm o
WHERE o.trade_date BETWEEN %(from_date)s AND %(to_date)s AND o.broker = 'FUTU' AND o.filled_qty > 0
  AND o.trade_date >= '2018-01-01' AND o.broker_status IS DISTINCT FROM 'FILL_CANCELLED'
  AND o.account_id NOT IN (SELECT account_id FROM untold)
GROUP BY 1, 2, 3
UNION ALL
SELECT t.broker, t.account_id, t.trade_date, count(DISTINCT coalesce(t.order_uid, t.trade_uid)) FROM trades_norm t
WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.broker = 'IB' AND t.kind = 'TRADE' AND t.effective
  AND t.source NOT IN ('TWS', 'TCF')
  AND NOT EXISTS (SELECT FROM query_gaps g WHERE g.account_id = t.account_id AND g.section = 'Trades'
                  AND g.field = 'ibCommission' AND g.business_date >= t.trade_date)
GROUP BY 1, 2, 3
