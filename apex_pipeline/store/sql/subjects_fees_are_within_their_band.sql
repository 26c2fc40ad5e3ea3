-- B09. Orders with fees in the currency of their trades, of markets and contracts that have a band (see the check).
WITH band (market, currency, asset_class) AS (VALUES
    ('US', 'USD', 'STOCK'), ('US', 'USD', 'OPTION'), ('US', 'USD', 'FUTURE'), ('US', 'USD', 'FUTURE_OPTION'),
    ('HK', 'HKD', 'STOCK'), ('HK', 'HKD', 'WARRANT'), ('HK', 'HKD', 'OPTION'), ('HK', 'HKD', 'FUTURE'),
    (NULL, 'EUR', 'STOCK'), (NULL, 'GBP', 'STOCK'), (NULL, 'CHF', 'STOCK'), (NULL, 'EUR', 'OPTION'), (NULL, 'EUR', 'FUTURE'),
    (NULL, 'CAD', 'STOCK'), (NULL, 'AUD', 'STOCK'), (NULL, 'SGD', 'STOCK'), (NULL, 'JPY', 'STOCK')
), charged AS (
    SELECT order_uid, max(charged_on) AS charged_on, min(currency) AS currency
    FROM fees_norm
    WHERE charged_on BETWEEN %(from_date)s AND %(to_date)s AND order_uid IS NOT NULL
    GROUP BY 1
    HAVING min(currency) = max(currency) AND count(currency) = count(*)
)
SELECT broker, account_id, business_date, count(*) AS subjects
FROM (
    SELECT min(t.broker) AS broker, min(t.account_id) AS account_id, c.charged_on AS business_date
    FROM charged c
    JOIN trades_norm t USING (order_uid)
    LEFT JOIN band b ON b.currency = t.currency AND b.asset_class = t.asset_class AND coalesce(b.market, t.market) = t.market
    WHERE t.effective
    GROUP BY c.order_uid, c.charged_on
    HAVING bool_and(b.currency IS NOT NULL AND t.amount IS NOT NULL AND t.currency = c.currency)
) AS compared
GROUP BY 1, 2, 3
