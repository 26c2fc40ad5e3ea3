-- B09. What an order cost lies within a band: at most `base` + `part` of the traded money + `per_unit` for each share or
-- contract, at least nothing, or at IB a rebate of at most `rebate` + `rebate_per_unit` for each. The bands are several
-- times what the published schedules of both brokers ask with taxes and minimums per order; they show a fee that is
-- absurd (a wrong unit, a factor of 100), not one that is dear. Not compared: markets, currencies and kinds of contracts
-- without a band, unknown money, and fees in another currency than the trade.
WITH band (market, currency, asset_class, base, part, per_unit, rebate, rebate_per_unit) AS (VALUES
    -- commission and platform fee to one percent of the money or 2 cents a share; rebates to a third of a cent
    ('US', 'USD', 'STOCK', 20, 0.01, 0.03, 1, 0.005),
    -- 0.65 to 1.5 a contract, exchange fees of index options to about 2; rebates to about 0.8
    ('US', 'USD', 'OPTION', 15, 0.005, 5, 1, 1),
    -- 0.25 to 5 a contract with the exchange's fee, whatever the contract is worth
    ('US', 'USD', 'FUTURE', 10, 0, 15, 1, 0), ('US', 'USD', 'FUTURE_OPTION', 10, 0, 15, 1, 0),
    -- stamp duty 0.1 percent (0.13 for some years), commission to 0.25 percent, platform fee 15, minimums to 18
    ('HK', 'HKD', 'STOCK', 200, 0.01, 0, 0, 0), ('HK', 'HKD', 'WARRANT', 200, 0.01, 0, 0, 0),
    -- 0.2 percent of the premium, platform fee 15, tariffs of 3 to 30 a contract
    ('HK', 'HKD', 'OPTION', 100, 0.02, 60, 0, 0), ('HK', 'HKD', 'FUTURE', 100, 0, 120, 0, 0),
    -- commission 0.05 to 0.1 percent with minimums of 1 to 30; taxes on transactions 0.1 to 1 percent
    (NULL, 'EUR', 'STOCK', 60, 0.02, 0, 1, 0), (NULL, 'GBP', 'STOCK', 60, 0.02, 0, 1, 0),
    (NULL, 'CHF', 'STOCK', 60, 0.02, 0, 1, 0),
    -- 1 to 3 a contract
    (NULL, 'EUR', 'OPTION', 15, 0.005, 10, 1, 0), (NULL, 'EUR', 'FUTURE', 10, 0, 15, 1, 0),
    -- 1 cent a share, at most half a percent of the money
    (NULL, 'CAD', 'STOCK', 20, 0.01, 0.03, 1, 0.005),
    -- commission 0.08 percent with minimums of 5, 2.5 and 80
    (NULL, 'AUD', 'STOCK', 60, 0.01, 0, 1, 0), (NULL, 'SGD', 'STOCK', 60, 0.01, 0, 1, 0),
    (NULL, 'JPY', 'STOCK', 5000, 0.01, 0, 1, 0)
), charged AS (
    SELECT order_uid, sum(amount) AS fee, max(charged_on) AS charged_on, min(currency) AS currency
    FROM fees_norm
    WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND order_uid IS NOT NULL
    GROUP BY 1
    HAVING min(currency) = max(currency) AND count(currency) = count(*)
), wrong AS MATERIALIZED (
    SELECT c.order_uid, min(t.broker) AS broker, min(t.account_id) AS account_id, c.charged_on, c.fee, c.currency,
           sum(t.qty) AS qty, sum(abs(t.amount)) AS money,
           max(b.base) + sum(abs(t.amount) * b.part + t.qty * b.per_unit) AS most,
           CASE min(t.broker) WHEN 'IB' THEN -(max(b.rebate) + sum(t.qty * b.rebate_per_unit)) ELSE 0 END AS least
    FROM charged c
    JOIN trades_norm t USING (order_uid)
    LEFT JOIN band b ON b.currency = t.currency AND b.asset_class = t.asset_class AND coalesce(b.market, t.market) = t.market
    WHERE t.effective
    GROUP BY c.order_uid, c.charged_on, c.fee, c.currency
    HAVING bool_and(b.base IS NOT NULL AND t.amount IS NOT NULL AND t.currency = c.currency)
       AND (c.fee > max(b.base) + sum(abs(t.amount) * b.part + t.qty * b.per_unit)
            OR c.fee < CASE min(t.broker) WHEN 'IB' THEN -(max(b.rebate) + sum(t.qty * b.rebate_per_unit)) ELSE 0 END)
)
SELECT w.broker, w.account_id, w.order_uid AS subject, w.charged_on AS business_date,
       trim_scale(CASE WHEN w.fee > w.most THEN w.most ELSE w.least END) AS expected, w.fee AS actual, 'WARN' AS severity,
       NULL AS cause, w.currency,
       jsonb_build_object(
           'order_uid', w.order_uid, 'fee', w.fee::text, 'at_most', trim_scale(w.most)::text,
           'at_least', trim_scale(w.least)::text, 'traded_money', trim_scale(w.money)::text, 'quantity', w.qty::text,
           'parts', f.parts, 'trades', t.trades,
           'rows', jsonb_path_query_array(jsonb_build_array(w.order_uid) || f.uids || t.uids, '$[0 to 19]')) AS evidence
FROM wrong w
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(jsonb_agg(fee_uid ORDER BY abs(amount) DESC, fee_uid), '$[0 to 9]') AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'fee_uid', fee_uid, 'name', broker_fee_name, 'amount', amount::text)
               ORDER BY abs(amount) DESC, fee_uid), '$[0 to 9]') AS parts
    FROM fees_norm WHERE order_uid = w.order_uid
) AS f
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_array(jsonb_agg(trade_uid ORDER BY trade_uid), '$[0 to 8]') AS uids,
           jsonb_path_query_array(jsonb_agg(jsonb_build_object(
               'trade_uid', trade_uid, 'symbol', symbol, 'qty', qty::text, 'price', price::text, 'amount', amount::text)
               ORDER BY trade_uid), '$[0 to 8]') AS trades
    FROM trades_norm WHERE order_uid = w.order_uid AND effective
) AS t
ORDER BY 3
