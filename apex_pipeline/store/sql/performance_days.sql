-- The days on which accounts are valued, each after a day: weekdays and days with positions, from the first day of which
-- anything is known to the last. The day before the first one is valued too where it is known that nothing was there.
WITH due AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
), span AS (
    SELECT d.account_id, d.after_day, least(state.first_day, held.first_day, told.first_day) AS first_day,
           greatest(state.last_day, held.last_day, told.last_day, asked.last_day) AS last_day,
           CASE WHEN state.empty_on < held.first_day IS NOT FALSE AND state.empty_on < told.first_day IS NOT FALSE
                 AND NOT EXISTS (SELECT FROM opening_balances o WHERE o.account_id = d.account_id)
                THEN state.empty_on END AS empty_on
    FROM due d
    CROSS JOIN LATERAL (
        SELECT min(s.as_of) FILTER (WHERE s.as_of > coalesce(o.booked_on, '-infinity')) AS first_day,
               max(s.as_of) AS last_day,
               CASE WHEN bool_and(coalesce(o.amount = 0, false)) THEN min(o.booked_on) END AS empty_on
        FROM cash_account_state s
        LEFT JOIN cash_ledger o ON o.entry_uid = s.account_id || ':' || s.currency || ':OPENING'
        WHERE s.account_id = d.account_id
    ) AS state
    CROSS JOIN LATERAL (
        SELECT (SELECT p.business_date FROM positions_daily p WHERE p.account_id = d.account_id
                ORDER BY p.business_date LIMIT 1) AS first_day,
               (SELECT p.business_date FROM positions_daily p WHERE p.account_id = d.account_id
                ORDER BY p.business_date DESC LIMIT 1) AS last_day
    ) AS held
    CROSS JOIN LATERAL (
        SELECT min(day) AS first_day, max(day) AS last_day FROM (
            SELECT f.business_date AS day FROM broker_figures f
            WHERE f.account_id = d.account_id AND f.section = 'EquitySummaryInBase'
            UNION ALL SELECT b.business_date FROM broker_balances b
            WHERE b.account_id = d.account_id AND b.net_liquidation IS NOT NULL
        ) AS worth
    ) AS told
    CROSS JOIN LATERAL (
        SELECT max(c.to_date) AS last_day FROM load_coverage c
        WHERE c.account_id = d.account_id AND c.data_type IN ('futu_deals', 'ib_flex')
    ) AS asked
)
SELECT account_id, on_date FROM (
    SELECT s.account_id, s.after_day, day::date AS on_date
    FROM span s CROSS JOIN generate_series(s.first_day, s.last_day, interval '1 day') AS day
    WHERE extract(isodow FROM day) < 6
    UNION SELECT s.account_id, s.after_day, p.business_date
    FROM span s JOIN positions_daily p ON p.account_id = s.account_id AND p.business_date > s.after_day
    WHERE p.business_date > %(first_day)s
    UNION SELECT account_id, after_day, empty_on FROM span WHERE empty_on < first_day
) AS known
WHERE on_date > after_day
ORDER BY 1, 2
