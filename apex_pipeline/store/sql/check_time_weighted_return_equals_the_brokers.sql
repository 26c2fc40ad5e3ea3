-- D14. The time-weighted return that a broker tells for some days, and ours of the same days: a basis point a day, and at
-- most five, because a broker may count a payment at another time of the day. Only where every day's value is known,
-- that of the session before included.
WITH told AS (
    SELECT broker, account_id, from_date, to_date, min((figures ->> 'twr')::numeric) / 100 AS twr
    FROM broker_figures
    WHERE section = 'ChangeInNAV' AND figures ? 'twr' AND from_date IS NOT NULL
      AND business_date BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY 1, 2, 3, 4 HAVING count(*) = 1
), compared AS (
    SELECT t.*, (1 + ending.cumulative_return) / nullif(1 + coalesce(begun.cumulative_return, 0), 0) - 1 AS ours,
           least(ending.days, 5) * 0.0001 AS tolerance
    FROM told t
    JOIN LATERAL (
        SELECT max(p.cumulative_return) FILTER (WHERE p.business_date = t.to_date) AS cumulative_return,
               count(*) AS days
        FROM performance_metrics p
        WHERE p.account_id = t.account_id AND p.period = 'DAY' AND p.scope = 'ACCOUNT'
          AND p.business_date BETWEEN t.from_date AND t.to_date
        HAVING count(*) = count(p.daily_return)
    ) AS ending ON ending.cumulative_return IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT p.cumulative_return, p.business_date FROM performance_metrics p
        WHERE p.account_id = t.account_id AND p.period = 'DAY' AND p.scope = 'ACCOUNT'
          AND p.business_date BETWEEN t.from_date - 7 AND t.from_date - 1 AND p.cumulative_return IS NOT NULL
        ORDER BY p.business_date DESC LIMIT 1
    ) AS begun ON true
    WHERE (begun.business_date IS NOT NULL OR NOT EXISTS (
               SELECT FROM performance_metrics p
               WHERE p.account_id = t.account_id AND p.period = 'DAY' AND p.scope = 'ACCOUNT'
                 AND p.business_date < t.from_date AND p.cumulative_return IS NOT NULL))
      AND NOT EXISTS (SELECT FROM market_days d
                      WHERE d.calendar = 'XNYS' AND d.is_session AND d.on_date > begun.business_date
                        AND d.on_date < t.from_date)
      AND (begun.business_date IS NULL OR EXISTS (
               SELECT FROM load_coverage c
               WHERE c.broker = t.broker AND c.account_id = t.account_id
                 AND begun.business_date BETWEEN c.from_date AND c.to_date)
           -- the day before all that is known
           OR NOT EXISTS (SELECT FROM load_coverage c
                          WHERE c.broker = t.broker AND c.account_id = t.account_id AND c.from_date <= begun.business_date))
)
SELECT broker, account_id, concat(account_id, ' ', from_date, '..', to_date) AS subject, to_date AS business_date,
       round(twr, 12) AS expected, round(ours, 12) AS actual, 'WARN' AS severity, 'CONVENTION' AS cause,
       jsonb_build_object('from_date', from_date, 'to_date', to_date) AS evidence
FROM compared WHERE abs(ours - twr) > tolerance
ORDER BY 3
