-- D10. When a trade settles by our rule and calendars, and when its broker says, as days after the trade. Only where both
-- are told: futures, currencies, bonds, funds and markets without a rule have no date of ours, and Futu tells one for shares
-- that an option delivered only. That one is of the booking of the money, which may come later: no error.
-- Only in the market's own money: what is traded in a foreign one also waits for the banks of another country.
-- What would set it right where a trade is dated on another day than that of its execution: the day of its execution.
SELECT s.broker, s.account_id, s.trade_uid AS subject, s.trade_date AS business_date,
       (s.broker_settlement_date - s.trade_date)::numeric AS expected, (s.settlement_date - s.trade_date)::numeric AS actual,
       CASE s.broker WHEN 'IB' THEN 'ERROR' ELSE 'WARN' END AS severity, 'REFERENCE_DATA' AS cause,
       jsonb_build_object('symbol', s.symbol, 'rule', s.rule, 'trade_date', s.trade_date, 'ours', s.settlement_date,
                          'broker', s.broker_settlement_date, 'rows', jsonb_build_array(s.trade_uid))
       || CASE WHEN executed.on_date <> t.trade_date THEN jsonb_build_object('set_right', jsonb_build_array(
              jsonb_build_object('do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
                                 'row', jsonb_build_object('trade_date', executed.on_date)))) ELSE '{}' END AS evidence
FROM settlement_tracking s
LEFT JOIN trades_norm t USING (trade_uid)
LEFT JOIN LATERAL (
    SELECT (t.executed_at AT TIME ZONE CASE s.market WHEN 'HK' THEN 'Asia/Hong_Kong' ELSE 'America/New_York' END)::date
               AS on_date
    WHERE s.market IN ('US', 'HK') AND t.kind = 'TRADE'
) AS executed ON true
WHERE s.trade_date BETWEEN %(from_date)s AND %(to_date)s AND s.broker_settlement_date <> s.settlement_date
  AND (s.market, s.currency) IN (('US', 'USD'), ('HK', 'HKD'), ('UK', 'GBP'), ('JP', 'JPY'), ('SG', 'SGD'))
ORDER BY 3
