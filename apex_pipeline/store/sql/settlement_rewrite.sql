-- When each effective trade settles, by the rules handed in, of some accounts from a day on each. The settlement days of a
-- calendar are numbered, so that "three settlement days later" is a number three higher.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS settlement_now;
CREATE TEMPORARY TABLE settlement_now (LIKE settlement_tracking) ON COMMIT DROP;
INSERT INTO settlement_now
WITH scope AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
), traded AS MATERIALIZED (
    SELECT t.trade_uid, t.broker, t.account_id, t.symbol, t.market, t.asset_class, t.trade_date, t.settle_date,
           trim_scale(CASE t.side WHEN 'BUY' THEN -t.amount ELSE t.amount END) AS amount, t.currency
    FROM trades_norm t JOIN scope s ON s.account_id = t.account_id AND t.trade_date >= s.from_day
    WHERE t.effective AND t.asset_class <> 'COMBO'
      AND t.trade_date >= (SELECT min(from_day) FROM scope)
      AND (t.kind = 'TRADE' OR (t.kind IN ('EXERCISE', 'ASSIGNMENT')
                                AND (t.asset_class NOT IN ('OPTION', 'FUTURE_OPTION') OR t.price <> 0)))
), known AS (
    SELECT account_id, max(day) AS last_day FROM (
        SELECT c.account_id, c.to_date AS day FROM load_coverage c JOIN scope USING (account_id)
        UNION ALL SELECT account_id, max(trade_date) FROM traded GROUP BY 1
    ) AS told GROUP BY 1
), numbered AS MATERIALIZED (
    SELECT calendar, on_date, is_settlement_day,
           count(*) FILTER (WHERE is_settlement_day) OVER (PARTITION BY calendar ORDER BY on_date) AS place
    FROM market_days
), due AS MATERIALIZED (
    SELECT r.market, r.asset_class, n.on_date AS trade_date, r.rule, later.on_date AS settlement_date
    FROM unnest(%(rules)s::text[], %(markets)s::text[], %(asset_classes)s::text[], %(calendars)s::text[],
                %(cycles)s::int[], %(firsts)s::date[], %(lasts)s::date[])
         AS r (rule, market, asset_class, calendar, cycle, first_day, last_day)
    JOIN numbered n ON n.calendar = r.calendar AND n.on_date BETWEEN r.first_day AND r.last_day
    LEFT JOIN numbered later ON later.calendar = n.calendar AND later.is_settlement_day AND later.place = n.place + r.cycle
)
SELECT t.trade_uid, t.broker, t.account_id, t.symbol, t.market, t.trade_date, d.settlement_date, t.settle_date, d.rule,
       t.amount, t.currency,
       CASE WHEN d.settlement_date IS NULL THEN 'UNKNOWN'
            WHEN d.settlement_date <= k.last_day THEN 'SETTLED' ELSE 'PENDING' END
FROM traded t
LEFT JOIN due d ON d.market = t.market AND d.asset_class = t.asset_class AND d.trade_date = t.trade_date
LEFT JOIN known k ON k.account_id = t.account_id;
ANALYZE settlement_now;
DELETE FROM settlement_tracking t USING unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
WHERE t.account_id = s.account_id AND t.trade_date >= s.from_day
  AND NOT EXISTS (SELECT FROM settlement_now n WHERE n.trade_uid = t.trade_uid)
