-- D12. The rate to the base currency that IB tells with a trade is that of the end of its day in ConversionRates: of
-- the trade date, or of the day of the statement for a booking that is told later; to 5e-4 of it, because an absolute
-- bound is nothing for one currency and everything for another. In the base currency it is 1. The base is the currency
-- that the account's rates lead to; a day without a rate is not compared.
-- Where all trades of a day and currency (or the rates that other accounts are told) say another rate than the day's,
-- the rate is doubted and told once; of a single trade the day before decides: the rate that jumps is doubted.
WITH base AS (
    SELECT account_id, mode() WITHIN GROUP (ORDER BY to_currency) AS currency
    FROM conversion_rates WHERE broker = 'IB' GROUP BY 1
), compared AS MATERIALIZED (
    SELECT f.trade_uid, f.account_id, f.business_date, f.currency, f.symbol, f.fx_rate_to_base AS told,
           b.currency AS base,
           CASE WHEN f.currency = b.currency THEN 1 ELSE r.rate END AS rate, r.rate_uid,
           CASE WHEN f.currency = b.currency THEN abs(f.fx_rate_to_base - 1) <= 5e-4
                ELSE abs(f.fx_rate_to_base - r.rate) <= r.rate * 5e-4
                     OR coalesce(abs(f.fx_rate_to_base - l.rate) <= l.rate * 5e-4, false) END AS agrees
    FROM broker_trade_figures f
    JOIN base b USING (account_id)
    JOIN trades_norm t USING (trade_uid)
    LEFT JOIN conversion_rates r ON r.account_id = f.account_id AND r.business_date = f.business_date
                                AND r.from_currency = f.currency AND r.to_currency = b.currency
    LEFT JOIN conversion_rates l ON l.account_id = f.account_id AND l.business_date = t.report_date
                                AND t.report_date <> t.trade_date AND l.from_currency = f.currency
                                AND l.to_currency = b.currency
    WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.fx_rate_to_base <> 0
      AND (f.currency = b.currency OR r.rate IS NOT NULL)
), groups AS (
    SELECT account_id, business_date, currency, base, min(rate) AS rate, min(rate_uid) AS rate_uid, count(*) AS trades,
           max(told) AS told, max(told) - min(told) <= 5e-4 * max(told) AND NOT bool_or(agrees) AS all_differ,
           (array_agg(trade_uid ORDER BY trade_uid))[:19] AS uids
    FROM compared
    GROUP BY 1, 2, 3, 4
    HAVING NOT bool_and(agrees)
), judged AS (
    SELECT g.*, g.currency <> g.base AND g.all_differ AND (
               EXISTS (SELECT FROM conversion_rates o
                       WHERE o.business_date = g.business_date AND o.from_currency = g.currency
                         AND o.to_currency = g.base AND o.account_id <> g.account_id
                         AND abs(o.rate - g.told) <= o.rate * 5e-4)
               OR g.trades > 1 OR abs(g.rate - before.rate) > abs(g.told - before.rate)) AS is_rate
    FROM groups g
    LEFT JOIN LATERAL (
        SELECT o.rate FROM conversion_rates o
        WHERE o.account_id = g.account_id AND o.from_currency = g.currency AND o.to_currency = g.base
          AND o.business_date BETWEEN g.business_date - 10 AND g.business_date - 1
        ORDER BY o.business_date DESC LIMIT 1
    ) AS before ON true
)
SELECT 'IB' AS broker, c.account_id, c.trade_uid AS subject, c.business_date, c.rate AS expected, c.told AS actual,
       'WARN' AS severity, 'FX' AS cause,
       jsonb_build_object(
           'symbol', c.symbol, 'currency', c.currency, 'base_currency', c.base, 'rate_of_the_day', c.rate::text,
           'fxRateToBase', c.told::text, 'doubted', 'fxRateToBase',
           'rows', to_jsonb(array_remove(ARRAY[c.trade_uid, 'conversion_rates/' || c.rate_uid], NULL)),
           'set_right', jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'broker_trade_figures', 'key', jsonb_build_object('trade_uid', c.trade_uid),
               'row', jsonb_build_object('fx_rate_to_base', c.rate::text)))) AS evidence
FROM judged g JOIN compared c USING (account_id, business_date, currency)
WHERE g.is_rate IS NOT TRUE AND NOT c.agrees
UNION ALL
SELECT 'IB', g.account_id, concat(g.currency, ' to ', g.base), g.business_date, g.told, g.rate, 'WARN', 'FX',
       jsonb_build_object(
           'currency', g.currency, 'base_currency', g.base, 'rate_of_the_day', g.rate::text,
           'fxRateToBase', g.told::text, 'trades', g.trades, 'doubted', 'the rate of the day',
           'rows', to_jsonb(ARRAY['conversion_rates/' || g.rate_uid] || g.uids),
           'set_right', jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'conversion_rates', 'key', jsonb_build_object('rate_uid', g.rate_uid),
               'row', jsonb_build_object('rate', g.told::text))))
FROM judged g
WHERE g.is_rate
ORDER BY 3
