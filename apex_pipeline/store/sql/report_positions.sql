-- Open positions of every account on the last day that it is known of. Positions stand on every weekday until then: an
-- account without any on the last of them holds nothing, however much it held before.
WITH newest AS (
    SELECT broker, account_id, max(business_date) AS business_date FROM positions_daily GROUP BY 1, 2
), reached AS (
    SELECT n.*, greatest(n.business_date, (SELECT max(c.to_date) FROM load_coverage c
                                           WHERE c.account_id = n.account_id AND c.data_type IN ('futu_deals', 'ib_flex')),
                         (SELECT max(m.business_date) FROM position_movements m WHERE m.account_id = n.account_id)) AS known_to
    FROM newest n
), held AS (
    SELECT broker, account_id, business_date FROM reached
    WHERE NOT EXISTS (SELECT FROM generate_series(business_date + 1, known_to, interval '1 day') AS day
                      WHERE extract(isodow FROM day) < 6)
)
SELECT p.broker, p.account_id, p.symbol, p.qty, p.avg_cost, p.cost_basis, p.mark_price, p.market_value, p.unrealized_pnl,
       p.currency, p.business_date
FROM positions_daily p JOIN held USING (broker, account_id, business_date)
ORDER BY p.broker, p.account_id, p.symbol
