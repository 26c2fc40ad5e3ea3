-- D11. What of the cash at the end of a cash report is settled, by currency: ours and the broker's, within 0.01 as IB's
-- own identities. Ours is the state of cash on the last day of the report. Commissions count as settled when they are
-- booked, or with their trade: statements of both kinds are known, so either is right. So is the money of a corporate
-- action of the last five days settled or not, because nobody tells when it settles.
-- Only where the whole cash agrees: else the check of ending cash speaks. Silent too where the dates that the broker
-- told for single trades make the difference (the check of settlement dates names them), and in the ten days after an
-- opening balance, which counts as settled although trades of before may not have been.
-- A difference is told on the day on which it appears or changes, and again after 31 days.
WITH report AS (
    SELECT broker, account_id, currency, from_date, to_date, sum((figures ->> 'endingCash')::numeric) AS ending,
           sum((figures ->> 'endingSettledCash')::numeric) AS settled, array_agg('broker_figures/' || figures_uid) AS names
    FROM broker_figures
    WHERE business_date BETWEEN %(from_date)s::date - 38 AND %(to_date)s::date + 7 AND section = 'CashReport'
      AND to_date BETWEEN %(from_date)s::date - 31 AND %(to_date)s
      AND currency <> 'BASE_SUMMARY' AND figures ?& ARRAY['endingCash', 'endingSettledCash']
    GROUP BY 1, 2, 3, 4, 5
), compared AS (
    SELECT r.*, s.total_cash, s.settled_cash, way.ours
    FROM report r
    CROSS JOIN LATERAL (
        SELECT c.total_cash, c.settled_cash FROM cash_account_state c
        WHERE c.account_id = r.account_id AND c.currency = r.currency AND c.as_of <= r.to_date
        ORDER BY c.as_of DESC LIMIT 1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount), 0) AS fees FROM cash_ledger l
        WHERE l.account_id = r.account_id AND l.currency = r.currency AND l.kind = 'FEE' AND l.booked_on <= r.to_date
          AND l.settle_date BETWEEN r.to_date + 1 AND r.to_date + 15
    ) AS pending
    CROSS JOIN LATERAL (
        -- Each alone, and all together.
        SELECT array_agg(amount) || sum(amount) AS amounts FROM cash_ledger l
        WHERE l.account_id = r.account_id AND l.currency = r.currency AND l.kind = 'CORPORATE_ACTION'
          AND l.booked_on BETWEEN r.to_date - 5 AND r.to_date
    ) AS undated
    CROSS JOIN LATERAL (
        SELECT base - coalesce(later, 0) AS ours
        FROM unnest(ARRAY[s.settled_cash, s.settled_cash + pending.fees]) AS base
        CROSS JOIN unnest(NULL::numeric || undated.amounts) AS later
        WHERE base = s.settled_cash AND later IS NULL OR abs(base - coalesce(later, 0) - r.settled) <= 0.01
        ORDER BY abs(base - coalesce(later, 0) - r.settled) LIMIT 1
    ) AS way
    WHERE s.settled_cash IS NOT NULL AND abs(s.total_cash - r.ending) <= 0.01
      AND NOT EXISTS (SELECT FROM cash_ledger o
                      WHERE o.entry_uid = r.account_id || ':' || r.currency || ':OPENING' AND o.booked_on > r.to_date - 10)
), told_once AS (
    -- Reports of several spans may end on one day.
    SELECT DISTINCT ON (account_id, currency, to_date) *, ours - settled AS difference
    FROM compared ORDER BY account_id, currency, to_date, abs(ours - settled) DESC, from_date DESC
), dated AS (
    -- What of the difference is there because a trade settles on another day than its broker told.
    SELECT t.*, coalesce(other_dates.amount, 0) AS of_dates
    FROM told_once t
    LEFT JOIN LATERAL (
        SELECT sum(CASE WHEN l.settle_date <= t.to_date THEN l.amount ELSE -l.amount END) AS amount
        FROM cash_ledger l JOIN settlement_tracking s ON s.trade_uid = l.trade_uid
        WHERE abs(t.difference) > 0.01 AND l.account_id = t.account_id AND l.currency = t.currency
          AND l.booked_on <= t.to_date AND l.settle_date BETWEEN t.to_date - 15 AND t.to_date + 15
          AND (l.settle_date <= t.to_date) <> (greatest(s.broker_settlement_date, l.booked_on) <= t.to_date)
          AND (l.kind <> 'FEE' OR t.ours = t.settled_cash)
    ) AS other_dates ON true
), before AS (
    SELECT *, lag(difference - of_dates) OVER one AS last_difference, lag(to_date) OVER one AS last_date
    FROM dated WINDOW one AS (PARTITION BY account_id, currency ORDER BY to_date)
)
SELECT b.broker, b.account_id, concat(b.account_id, ' ', b.currency) AS subject, b.to_date AS business_date,
       trim_scale(b.settled) AS expected, trim_scale(b.ours) AS actual, b.currency, 'ERROR' AS severity,
       -- The same money is there, and settles on another day.
       'TIMING' AS cause,
       jsonb_build_object('from_date', b.from_date, 'to_date', b.to_date, 'ending_cash', trim_scale(b.ending)::text,
                          'unsettled', trim_scale(b.ending - b.settled)::text,
                          'ours_unsettled', trim_scale(b.total_cash - b.ours)::text,
                          'near_the_day', coalesce(near.entries, '[]'),
                          'rows', to_jsonb(b.names[:2]) || coalesce(near.uids, '[]')) AS evidence
FROM before b
LEFT JOIN LATERAL (
    -- Entries that settle near the last day, those first that make the difference by themselves.
    SELECT jsonb_agg(jsonb_build_object('entry', entry_uid, 'kind', kind, 'booked_on', booked_on,
                                        'settle_date', settle_date, 'amount', trim_scale(amount)::text)
                     ORDER BY place) AS entries,
           jsonb_agg(entry_uid ORDER BY place) AS uids
    FROM (SELECT l.*, row_number() OVER (ORDER BY abs(abs(l.amount) - abs(b.difference)) > 0.01,
                                         l.settle_date <= b.to_date, abs(l.amount) DESC, l.entry_uid) AS place
          FROM cash_ledger l
          WHERE l.account_id = b.account_id AND l.currency = b.currency AND l.booked_on <= b.to_date
            AND l.settle_date BETWEEN b.to_date - 4 AND b.to_date + 10
          ORDER BY place LIMIT 15) AS some_entries
) AS near ON true
WHERE b.to_date BETWEEN %(from_date)s AND %(to_date)s AND abs(b.difference - b.of_dates) > 0.01
  AND (b.last_date IS NULL OR b.last_date < b.to_date - 31 OR abs(b.difference - b.of_dates - b.last_difference) > 0.01)
ORDER BY 2, 4, 3
