-- Cash at the end of every day on which some was booked or settled, and of the last known day, going on from what
-- `cash_state_bases` told. Totals are NULL before the opening balance, and where there is none.
DROP TABLE IF EXISTS cash_base;
DROP TABLE IF EXISTS cash_states;
CREATE TEMPORARY TABLE cash_base (
    account_id text COLLATE "C", currency text COLLATE "C", broker text COLLATE "C", opened_on date, known_to date,
    after_day date, total_cash numeric, settled_cash numeric, PRIMARY KEY (account_id, currency)
) ON COMMIT DROP;
CREATE TEMPORARY TABLE cash_states (LIKE cash_account_state) ON COMMIT DROP;

INSERT INTO cash_base
SELECT * FROM unnest(
    %(accounts)s::text[], %(currencies)s::text[], %(brokers)s::text[], %(opened)s::date[], %(known)s::date[],
    %(after)s::date[], %(totals)s::numeric[], %(settled)s::numeric[]
);
ANALYZE cash_base;

WITH change AS (
    SELECT account_id, currency, on_date, sum(booked) AS booked, sum(settled) AS settled FROM (
        SELECT b.account_id, b.currency, c.booked_on AS on_date, sum(c.amount) FILTER (WHERE counts) AS booked,
               0 AS settled
        FROM cash_base b
        JOIN cash_ledger c ON c.account_id = b.account_id AND c.currency = b.currency
        CROSS JOIN LATERAL (SELECT c.booked_on >= b.opened_on AS counts) AS told
        WHERE c.booked_on > %(first_day)s AND c.booked_on > coalesce(b.after_day, '-infinity')
          AND c.booked_on <= b.known_to
        GROUP BY 1, 2, 3
        UNION ALL
        SELECT b.account_id, b.currency, c.settle_date, 0, sum(c.amount) FILTER (WHERE counts)
        FROM cash_base b
        JOIN cash_ledger c ON c.account_id = b.account_id AND c.currency = b.currency
        CROSS JOIN LATERAL (SELECT c.booked_on >= b.opened_on AS counts) AS told
        WHERE c.settle_date > %(first_day)s AND c.settle_date > coalesce(b.after_day, '-infinity')
          AND c.settle_date <= b.known_to
        GROUP BY 1, 2, 3
        UNION ALL
        SELECT account_id, currency, known_to, 0, 0 FROM cash_base
    ) AS part
    GROUP BY 1, 2, 3
), running AS (
    SELECT c.account_id, c.currency, c.on_date, b.broker, b.opened_on,
           coalesce(b.total_cash, 0) + coalesce(sum(c.booked) OVER days, 0) AS total,
           coalesce(b.settled_cash, 0) + coalesce(sum(c.settled) OVER days, 0) AS settled
    FROM change c JOIN cash_base b USING (account_id, currency)
    WINDOW days AS (PARTITION BY c.account_id, c.currency ORDER BY c.on_date)
)
INSERT INTO cash_states (account_id, currency, as_of, broker, total_cash, settled_cash, unsettled_cash)
SELECT account_id, currency, on_date, broker, CASE WHEN is_known THEN trim_scale(total) END,
       CASE WHEN is_known THEN trim_scale(settled) END, CASE WHEN is_known THEN trim_scale(total - settled) END
FROM running CROSS JOIN LATERAL (SELECT on_date >= opened_on AS is_known) AS known;
ANALYZE cash_states;

WITH removed AS (
    DELETE FROM cash_account_state s
    WHERE s.account_id = ANY (%(processed)s::text[])
      AND NOT EXISTS (
          SELECT FROM cash_base b
          WHERE b.account_id = s.account_id AND b.currency = s.currency AND s.as_of <= b.after_day
      )
      AND NOT EXISTS (
          SELECT FROM cash_states w
          WHERE w.account_id = s.account_id AND w.currency = s.currency AND w.as_of = s.as_of
      )
    RETURNING 1
), written AS (
    INSERT INTO cash_account_state AS s SELECT * FROM cash_states
    ON CONFLICT (account_id, currency, as_of) DO UPDATE SET
        broker = EXCLUDED.broker, total_cash = EXCLUDED.total_cash, settled_cash = EXCLUDED.settled_cash,
        unsettled_cash = EXCLUDED.unsettled_cash
    WHERE (s.broker, s.total_cash, s.settled_cash, s.unsettled_cash)
          IS DISTINCT FROM
          (EXCLUDED.broker, EXCLUDED.total_cash, EXCLUDED.settled_cash, EXCLUDED.unsettled_cash)
    RETURNING (xmax = 0) AS inserted
)
SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated,
       (SELECT count(*) FROM removed) AS deleted
FROM written
