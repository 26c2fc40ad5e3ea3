-- The cash that was there before an account's first known day, by currency; returns one row for each that changed.
--
-- Interactive Brokers says it: the starting cash of the earliest cash report. Futu does not. There it is what Futu says
-- is there on the first day on which it was asked and nothing was booked, less everything booked until then; and only
-- where the cash flow of every weekday in between is known. The sum is left alone while nothing before that day changed.
DROP TABLE IF EXISTS cash_due;
DROP TABLE IF EXISTS cash_wanted;
CREATE TEMPORARY TABLE cash_due (account_id text COLLATE "C" PRIMARY KEY, from_day date NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE cash_wanted (LIKE cash_ledger) ON COMMIT DROP;

INSERT INTO cash_due SELECT * FROM unnest(%(accounts)s::text[], %(dates)s::date[]);
ANALYZE cash_due;

INSERT INTO cash_wanted
SELECT account_id || ':' || currency || ':OPENING', broker, account_id, currency, from_date - 1, from_date - 1, 'OPENING',
       trim_scale(sum(cash)), NULL, NULL, NULL, NULL, 'starting cash of the cash report'
FROM (
    SELECT f.broker, f.account_id, f.currency, f.from_date, (f.figures ->> 'startingCash')::numeric AS cash,
           rank() OVER (PARTITION BY f.account_id, f.currency ORDER BY f.from_date, f.to_date) AS place
    FROM broker_figures f JOIN cash_due d ON d.account_id = f.account_id
    WHERE f.section = 'CashReport' AND f.broker = 'IB' AND f.currency <> 'BASE_SUMMARY' AND f.from_date IS NOT NULL
      AND f.figures ? 'startingCash'
) AS told
WHERE place = 1
GROUP BY broker, account_id, currency, from_date;

WITH asked AS (
    SELECT DISTINCT ON (b.account_id, b.currency) b.broker, b.account_id, b.currency, b.business_date, b.cash, d.from_day
    FROM broker_balances b JOIN cash_due d ON d.account_id = b.account_id
    WHERE b.broker = 'FUTU' AND b.cash IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM cash_ledger c
          WHERE c.account_id = b.account_id AND c.currency = b.currency AND c.booked_on = b.business_date
            AND c.kind <> 'OPENING'
      )
      AND NOT EXISTS (
          SELECT FROM trades_norm t
          WHERE t.account_id = b.account_id AND t.effective AND t.executed_at > b.as_of
            AND t.trade_date BETWEEN b.business_date - 7 AND b.business_date
      )
    ORDER BY b.account_id, b.currency, b.business_date
), known AS (
    SELECT a.*, coalesce((
        SELECT min(c.booked_on) FROM cash_ledger c
        WHERE c.account_id = a.account_id AND c.currency = a.currency AND c.kind <> 'OPENING'
    ), a.business_date) AS first_day
    FROM asked a
)
INSERT INTO cash_wanted
SELECT k.account_id || ':' || k.currency || ':OPENING', k.broker, k.account_id, k.currency,
       least(k.first_day, k.business_date) - 1, least(k.first_day, k.business_date) - 1, 'OPENING',
       CASE WHEN k.from_day > k.business_date AND stored.amount IS NOT NULL THEN stored.amount
            ELSE trim_scale(k.cash - coalesce((
                SELECT sum(c.amount) FROM cash_ledger c
                WHERE c.account_id = k.account_id AND c.currency = k.currency AND c.booked_on <= k.business_date
                  AND c.kind <> 'OPENING'
            ), 0)) END,
       NULL, NULL, NULL, NULL, 'computed: cash told on ' || k.business_date || ' less what was booked until then'
FROM known k
LEFT JOIN cash_ledger stored ON stored.entry_uid = k.account_id || ':' || k.currency || ':OPENING'
WHERE NOT EXISTS (
    SELECT FROM generate_series(k.first_day, k.business_date - 1, interval '1 day') AS day
    WHERE extract(isodow FROM day) < 6 AND NOT EXISTS (
        SELECT FROM load_coverage c
        WHERE c.broker = k.broker AND c.account_id = k.account_id AND c.data_type = 'futu_cash'
          AND day::date BETWEEN c.from_date AND c.to_date
    )
);

WITH removed AS (
    DELETE FROM cash_ledger c USING cash_due d
    WHERE c.account_id = d.account_id AND c.kind = 'OPENING'
      AND NOT EXISTS (SELECT FROM cash_wanted w WHERE w.entry_uid = c.entry_uid)
    RETURNING c.account_id
), written AS (
    INSERT INTO cash_ledger AS c SELECT * FROM cash_wanted
    ON CONFLICT (entry_uid) DO UPDATE SET
        broker = EXCLUDED.broker, booked_on = EXCLUDED.booked_on, settle_date = EXCLUDED.settle_date,
        amount = EXCLUDED.amount, description = EXCLUDED.description
    WHERE (c.broker, c.booked_on, c.settle_date, c.amount, c.description)
          IS DISTINCT FROM
          (EXCLUDED.broker, EXCLUDED.booked_on, EXCLUDED.settle_date, EXCLUDED.amount, EXCLUDED.description)
    RETURNING c.account_id, (xmax = 0) AS inserted
)
SELECT account_id, CASE WHEN inserted THEN 'inserted' ELSE 'updated' END AS done FROM written
UNION ALL SELECT account_id, 'deleted' FROM removed
