-- What takes something back, what does not count, and what a broker does not call a plain deal.
WITH special AS (
    SELECT 'IB' AS broker, account_id, record_key FROM trades_raw_ib
    WHERE (btrim(payload ->> 'origTransactionID') > '0' OR btrim(payload ->> 'origTradeID') > '0')
      AND payload ->> 'transactionType' = 'TradeCorrect' AND business_date BETWEEN %(from_date)s AND %(to_date)s
    UNION
    SELECT 'FUTU', account_id, record_key FROM trades_raw_futu
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND payload ->> 'status' <> '0'
    UNION
    SELECT broker, account_id, broker_trade_id FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND source IN ('FLEX', 'futu_deals')
      AND (kind = 'CANCEL' OR NOT effective)
)
SELECT t.broker, t.account_id, t.trade_date AS business_date, count(*) AS subjects
FROM special s
JOIN trades_norm t ON t.broker = s.broker AND t.account_id = s.account_id AND t.broker_trade_id = s.record_key
WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source IN ('FLEX', 'futu_deals')
GROUP BY 1, 2, 3
