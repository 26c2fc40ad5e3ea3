-- How often accounts traded, by day and by week (from Monday), with the day trades of the five sessions that end then.
-- The share that the old rule asks for is of orders: several fills of one order are one trade to it.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS frequency_now, frequency_days, frequency_periods;
CREATE TEMPORARY TABLE frequency_now (LIKE trade_frequency_tracking) ON COMMIT DROP;
CREATE TEMPORARY TABLE frequency_days (
    account_id text COLLATE "C", trade_date date, monday date, broker text COLLATE "C", trades bigint, orders bigint,
    us_orders bigint, day_trades bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE frequency_periods (
    account_id text COLLATE "C", period text COLLATE "C", starts_on date, ends_on date, monday date, last_traded date,
    broker text COLLATE "C", trades bigint, orders bigint, day_trades bigint
) ON COMMIT DROP;
-- Two weeks more than asked, for the sessions before.
INSERT INTO frequency_days
WITH scope AS (
    SELECT account_id, date_trunc('week', from_day)::date - 14 AS from_day
    FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
), ordered AS (
    -- by order first: counting distinct orders would sort every trade
    SELECT t.account_id, t.trade_date, coalesce(t.order_uid, t.trade_uid) AS order_uid, min(t.broker) AS broker,
           count(*) AS trades, bool_or(t.market = 'US' AND t.asset_class IN ('STOCK', 'OPTION', 'WARRANT')) AS of_us
    FROM trades_norm t JOIN scope s ON s.account_id = t.account_id AND t.trade_date >= s.from_day
    WHERE t.effective AND t.kind = 'TRADE' AND t.asset_class <> 'COMBO'
      AND t.trade_date >= (SELECT min(from_day) FROM scope)
    GROUP BY 1, 2, 3
), daily AS (
    SELECT account_id, trade_date, min(broker) AS broker, sum(trades) AS trades, count(*) AS orders,
           count(*) FILTER (WHERE of_us) AS us_orders
    FROM ordered GROUP BY 1, 2
), day_traded AS (
    SELECT d.account_id, d.trade_date, count(*) AS day_trades
    FROM day_trades d JOIN scope s ON s.account_id = d.account_id AND d.trade_date >= s.from_day
    WHERE d.method = 'DIRECTION_CHANGE' GROUP BY 1, 2
)
SELECT account_id, trade_date, date_trunc('week', trade_date)::date, broker, trades, orders, us_orders,
       coalesce(day_trades, 0)
FROM daily LEFT JOIN day_traded USING (account_id, trade_date);
ANALYZE frequency_days;
INSERT INTO frequency_periods
WITH scope AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
)
SELECT d.account_id, 'DAY', d.trade_date, d.trade_date, d.monday, d.trade_date, d.broker, d.trades, d.orders, d.day_trades
FROM frequency_days d JOIN scope s ON s.account_id = d.account_id AND d.trade_date >= s.from_day
UNION ALL
SELECT d.account_id, 'WEEK', d.monday, d.monday + 6, d.monday, max(d.trade_date), min(d.broker), sum(d.trades),
       sum(d.orders), sum(d.day_trades)
FROM frequency_days d JOIN scope s ON s.account_id = d.account_id AND d.monday >= date_trunc('week', s.from_day)::date
GROUP BY d.account_id, d.monday;
ANALYZE frequency_periods;
INSERT INTO frequency_now
WITH numbered AS MATERIALIZED (
    SELECT on_date, is_session, count(*) FILTER (WHERE is_session) OVER (ORDER BY on_date) AS place
    FROM market_days WHERE calendar = 'XNYS'
), windows AS (
    SELECT p.account_id, p.period, p.starts_on, p.ends_on, p.monday, fifth_last.on_date AS first_session
    FROM frequency_periods p
    JOIN numbered n ON n.on_date = p.ends_on
    JOIN numbered fifth_last ON fifth_last.is_session AND fifth_last.place = n.place - 4
), five AS (
    SELECT w.account_id, w.period, w.starts_on, sum(d.day_trades) AS day_trades, sum(d.us_orders) AS us_orders
    FROM windows w CROSS JOIN LATERAL (VALUES (w.monday), (w.monday - 7), (w.monday - 14)) AS week (monday)
    LEFT JOIN frequency_days d ON d.account_id = w.account_id AND d.monday = week.monday
                              AND d.trade_date BETWEEN w.first_session AND w.ends_on
    GROUP BY 1, 2, 3
)
SELECT p.account_id, p.period, p.starts_on, p.broker, p.trades, p.orders, p.day_trades,
       CASE WHEN f.account_id IS NOT NULL THEN coalesce(f.day_trades, 0) END, r.regime,
       CASE WHEN r.regime = 'LEGACY_PDT' AND f.day_trades >= %(warn_from)s
                 AND f.day_trades > f.us_orders * %(warn_share)s::numeric
            THEN format('%%s day trades in five sessions, %%s %%%% of %%s orders: %%s or more that are over %%s %%%% make a '
                        'pattern day trader', f.day_trades, round(100.0 * f.day_trades / nullif(f.us_orders, 0)), f.us_orders,
                        %(warn_from)s::text, trim_scale(100 * %(warn_share)s::numeric)) END
FROM frequency_periods p
LEFT JOIN five f USING (account_id, period, starts_on)
JOIN unnest(%(regime_accounts)s::text[], %(regime_firsts)s::date[], %(regime_lasts)s::date[], %(regimes)s::text[])
     AS r (account_id, first_day, last_day, regime)
  ON r.account_id = p.account_id AND p.last_traded BETWEEN r.first_day AND r.last_day;
DELETE FROM trade_frequency_tracking t
USING unnest(%(accounts)s::text[], %(days)s::date[]) AS s (account_id, from_day)
WHERE t.account_id = s.account_id
  AND t.period_start >= CASE t.period WHEN 'DAY' THEN s.from_day ELSE date_trunc('week', s.from_day)::date END
  AND NOT EXISTS (SELECT FROM frequency_now n
                  WHERE (n.account_id, n.period, n.period_start) = (t.account_id, t.period, t.period_start))
