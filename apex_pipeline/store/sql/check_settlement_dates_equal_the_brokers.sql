-- D10. When a trade settles by our rule and calendars, and when its broker says, as days after the trade. Only where both
-- are told: futures, currencies, bonds, funds and markets without a rule have no date of ours, and Futu tells one for shares
-- that an option delivered only. That one is of the booking of the money, which may come later: no error.
-- Only in the market's own money: what is traded in a foreign one also waits for the banks of another country.
-- Of the money of trades that Futu books by the day: its settlement is that of one of the trades of this day.
SELECT s.broker, s.account_id, s.trade_uid AS subject, s.trade_date AS business_date,
       (s.broker_settlement_date - s.trade_date)::numeric AS expected, (s.settlement_date - s.trade_date)::numeric AS actual,
       CASE s.broker WHEN 'IB' THEN 'ERROR' ELSE 'WARN' END AS severity, 'REFERENCE_DATA' AS cause,
       jsonb_build_object('symbol', s.symbol, 'rule', s.rule, 'trade_date', s.trade_date, 'ours', s.settlement_date,
                          'broker', s.broker_settlement_date) AS evidence
FROM settlement_tracking s
WHERE s.trade_date BETWEEN %(from_date)s AND %(to_date)s AND s.broker_settlement_date <> s.settlement_date
  AND (s.market, s.currency) IN (('US', 'USD'), ('HK', 'HKD'), ('UK', 'GBP'), ('JP', 'JPY'), ('SG', 'SGD'))
UNION ALL
SELECT 'FUTU', m.account_id, m.cash_uid, m.booked_on, (m.settle_date - m.booked_on)::numeric,
       (own.latest - m.booked_on)::numeric, 'WARN', 'REFERENCE_DATA',
       jsonb_build_object('trade_date', m.booked_on, 'ours', own.dates, 'broker', m.settle_date,
                          'amount', m.amount::text, 'rows', jsonb_build_array(m.cash_uid))
FROM cash_movements m
JOIN (
    SELECT account_id, currency, trade_date, max(settlement_date) AS latest,
           to_jsonb(array_agg(DISTINCT settlement_date)) AS dates, array_agg(DISTINCT settlement_date) AS days
    FROM settlement_tracking
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'FUTU'
    GROUP BY 1, 2, 3
    HAVING bool_and(settlement_date IS NOT NULL AND (market, currency) IN (('US', 'USD'), ('HK', 'HKD')))
) AS own ON own.account_id = m.account_id AND own.currency = m.currency AND own.trade_date = m.booked_on
WHERE m.booked_on BETWEEN %(from_date)s AND %(to_date)s AND m.broker = 'FUTU' AND m.kind = 'TRADE' AND m.amount <> 0
  AND m.settle_date <> ALL (own.days)
  AND NOT EXISTS (SELECT FROM cash_ledger c WHERE c.entry_uid = m.cash_uid || ':CASH')
ORDER BY 3
