-- D05. Of every cash report, by currency: its starting cash and our entries of its days make its ending cash; so do its
-- own components; and from the report before it to its starting cash nothing is missing. Where ours do not, the
-- components that differ and the transactions that stand on one side only (entries, lines of the statement of funds)
-- are named. A transaction of which another currency was moved than our row says is the likely cause: FX.
-- Of the sum in the base currency only its own components are looked at: we have no entries in all currencies at once.
-- The collateral of lent securities is no cash of the account: IB tells it beside the ending cash, which it does not
-- change (slbNetCash is both together).
DROP TABLE IF EXISTS every_report;
DROP TABLE IF EXISTS balance;
CREATE TEMPORARY TABLE every_report (
    broker text COLLATE "C", account_id text COLLATE "C", currency text COLLATE "C", from_date date, to_date date,
    starting numeric, ending numeric, figures jsonb
) ON COMMIT DROP;
CREATE TEMPORARY TABLE balance (
    account_id text COLLATE "C", currency text COLLATE "C", from_date date, to_date date, begun numeric, done numeric,
    last_told date
) ON COMMIT DROP;

INSERT INTO every_report
SELECT broker, account_id, currency, from_date, to_date, sum((figures ->> 'startingCash')::numeric) AS starting,
       sum((figures ->> 'endingCash')::numeric) AS ending, jsonb_agg(figures) AS figures
FROM broker_figures
WHERE section = 'CashReport' AND currency ~ '^([A-Z]{3}|BASE_SUMMARY)$' AND from_date IS NOT NULL
  AND figures ?& ARRAY['startingCash', 'endingCash']
GROUP BY 1, 2, 3, 4, 5;
ANALYZE every_report;

-- Our running balance before and after the days of every report, and the last report that ended before it.
INSERT INTO balance
WITH booked AS (
    SELECT c.account_id, c.currency, c.booked_on, sum(c.amount) AS amount
    FROM cash_ledger c
    WHERE c.account_id IN (SELECT account_id FROM every_report) AND c.kind <> 'OPENING'
    GROUP BY 1, 2, 3
), event AS (
    -- a report begins before the bookings of its first day and ends after those of its last
    SELECT account_id, currency, from_date AS on_date, 0 AS place, 0 AS amount, from_date, to_date FROM every_report
    UNION ALL SELECT account_id, currency, booked_on, 1, amount, NULL, NULL FROM booked
    UNION ALL SELECT account_id, currency, to_date, 2, 0, from_date, to_date FROM every_report
), running AS (
    SELECT account_id, currency, place, from_date, to_date, sum(amount) OVER before AS total,
           max(to_date) FILTER (WHERE place = 2) OVER before AS last_told
    FROM event
    WINDOW before AS (PARTITION BY account_id, currency ORDER BY on_date, place)
)
SELECT account_id, currency, from_date, to_date, max(total) FILTER (WHERE place = 0),
       max(total) FILTER (WHERE place = 2), max(last_told) FILTER (WHERE place = 0)
FROM running WHERE place <> 1 GROUP BY 1, 2, 3, 4;
ANALYZE balance;

WITH part (name, component) AS (
    VALUES ('netTradesSales', 'trades'), ('netTradesPurchases', 'trades'), ('cashSettlingMtm', 'trades'),
           ('realizedVm', 'trades'), ('realizedForexVm', 'trades'), ('commissions', 'fees'),
           ('billableCommissions', 'fees'), ('transactionTax', 'fees'), ('salesTax', 'fees'),
           ('billableSalesTax', 'fees'), ('otherFees', 'fees'), ('clientFees', 'fees'), ('advisorFees', 'fees'),
           ('brokerFees', 'fees'), ('referralFee', 'fees'), ('dividends', 'dividends'),
           ('paymentInLieu', 'dividends'), ('brokerInterest', 'interest'), ('bondInterest', 'interest'),
           ('insuredDepositInterest', 'interest'), ('withholdingTax', 'taxes'), ('withholding871m', 'taxes'),
           ('withholdingCollectedTax', 'taxes'), ('deposits', 'deposits'), ('withdrawals', 'deposits'),
           ('billPay', 'deposits'), ('debitCardActivity', 'deposits'), ('accountTransfers', 'transfers'),
           ('internalTransfers', 'transfers'), ('paxosTransfers', 'transfers'), ('excessFundSweep', 'transfers'),
           ('linkingAdjustments', 'other'), ('cfdCharges', 'other'), ('feesReceivables', 'other'),
           ('taxReceivables', 'other'), ('ipoSubscription', 'other'), ('commissionCreditsRedemption', 'other'),
           ('carbonCredits', 'other'), ('donations', 'other'), ('other', 'other'), ('fxTranslationGainLoss', 'other')
), kind (kind, component) AS (
    VALUES ('TRADE', 'trades'), ('FX', 'trades'), ('FEE', 'fees'), ('DIVIDEND', 'dividends'), ('INTEREST', 'interest'),
           ('TAX', 'taxes'), ('DEPOSIT', 'deposits'), ('WITHDRAWAL', 'deposits'), ('TRANSFER', 'transfers')
), ended AS (
    SELECT DISTINCT ON (account_id, currency, to_date) account_id, currency, to_date, e.ending, b.done AS total
    FROM every_report e JOIN balance b USING (account_id, currency, from_date, to_date)
    ORDER BY account_id, currency, to_date, from_date
), compared AS (
    SELECT r.*, b.done - b.begun AS ours, own.amount AS own, before.to_date AS last_told,
           before.ending + b.begun - before.total AS expected_start
    FROM every_report r
    JOIN balance b USING (account_id, currency, from_date, to_date)
    LEFT JOIN ended before
           ON (before.account_id, before.currency, before.to_date) = (r.account_id, r.currency, b.last_told)
    CROSS JOIN LATERAL (
        SELECT sum(figure.value::numeric) AS amount
        FROM jsonb_array_elements(r.figures) AS model CROSS JOIN jsonb_each_text(model) AS figure
        JOIN part p ON p.name = figure.key
    ) AS own
    WHERE r.to_date BETWEEN %(from_date)s AND %(to_date)s
), found AS (
    SELECT c.*, '' AS place, ending AS expected, starting + ours AS actual, 'ERROR' AS severity FROM compared c
    WHERE abs(starting + ours - ending) > 0.01 AND currency <> 'BASE_SUMMARY'
    UNION ALL
    SELECT c.*, ' own components', ending, starting + own, 'WARN' FROM compared c
    WHERE abs(starting + own - ending) > 0.01
    UNION ALL
    SELECT c.*, ' start', starting, expected_start, 'ERROR' FROM compared c
    WHERE abs(expected_start - starting) > 0.01 AND currency <> 'BASE_SUMMARY'
)
SELECT f.broker, f.account_id, concat(f.account_id, ' ', f.currency, ' ', f.from_date, '..', f.to_date, f.place) AS subject,
       f.to_date AS business_date, f.expected, f.actual, f.severity, f.currency,
       CASE WHEN f.place = ' start' THEN 'OPENING_BALANCE' WHEN f.place <> '' THEN 'CONVENTION'
            WHEN likely.other_currency THEN 'FX' WHEN likely.only_theirs THEN 'MISSING_B'
            WHEN likely.only_ours THEN 'MISSING_A' END AS cause,
       CASE f.place
           WHEN ' start' THEN jsonb_build_object('last_told', f.last_told, 'starting_cash', f.starting::text)
           WHEN '' THEN jsonb_build_object('from_date', f.from_date, 'components', components.differing,
                                           'transactions', likely.differing)
           ELSE jsonb_build_object('components', f.own::text)
       END AS evidence
FROM found f
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(component, jsonb_build_object('theirs', theirs::text, 'ours', ours::text)) AS differing
    FROM (
        SELECT component, coalesce(sum(theirs), 0) AS theirs, coalesce(sum(ours), 0) AS ours FROM (
            SELECT p.component, figure.value::numeric AS theirs, NULL::numeric AS ours
            FROM jsonb_array_elements(f.figures) AS model CROSS JOIN jsonb_each_text(model) AS figure
            JOIN part p ON p.name = figure.key
            UNION ALL
            SELECT coalesce(k.component, 'other'), NULL, c.amount
            FROM cash_ledger c LEFT JOIN kind k ON k.kind = c.kind
            WHERE c.account_id = f.account_id AND c.currency = f.currency AND c.kind <> 'OPENING'
              AND c.booked_on BETWEEN f.from_date AND f.to_date
        ) AS side
        GROUP BY 1
    ) AS sums
    WHERE abs(theirs - ours) > 0.005
) AS components ON f.place = ''
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('transaction', transaction_id, 'theirs', theirs::text, 'ours', ours::text,
                                        'entries', entries, 'other_currency', elsewhere)
                     ORDER BY abs(coalesce(theirs, 0) - coalesce(ours, 0)) DESC, transaction_id) AS differing,
           bool_or(elsewhere IS NOT NULL) AS other_currency, bool_or(ours IS NULL) AS only_theirs,
           bool_or(theirs IS NULL) AS only_ours
    FROM (
        SELECT side.transaction_id, sum(theirs) AS theirs, sum(ours) AS ours,
               jsonb_agg(entry_uid ORDER BY entry_uid) FILTER (WHERE entry_uid IS NOT NULL) AS entries,
               (SELECT min(o.currency) FROM (
                    SELECT l.currency, sum(l.amount) AS theirs FROM broker_funds l
                    WHERE l.account_id = f.account_id AND l.level = 'Currency' AND l.currency <> f.currency
                      AND l.amount <> 0 AND l.from_date IS NULL AND l.broker_transaction_id = side.transaction_id
                      AND l.business_date BETWEEN f.from_date AND f.to_date
                    GROUP BY 1
                ) AS o
                WHERE abs(o.theirs - coalesce((
                    SELECT sum(c.amount) FROM cash_ledger c
                    LEFT JOIN cash_movements m ON m.cash_uid = c.cash_uid
                    LEFT JOIN trades_norm t ON t.trade_uid = c.trade_uid
                    WHERE c.account_id = f.account_id AND c.currency = o.currency AND c.kind <> 'OPENING'
                      AND c.booked_on BETWEEN f.from_date AND f.to_date
                      AND side.transaction_id
                          = coalesce(t.broker_trade_id, regexp_replace(m.broker_cash_id, '_(BASE|QUOTE)$', ''))
                ), 0)) > 0.005) AS elsewhere
        FROM (
            SELECT l.broker_transaction_id AS transaction_id, l.amount AS theirs, NULL::numeric AS ours,
                   NULL AS entry_uid
            FROM broker_funds l
            WHERE l.account_id = f.account_id AND l.currency = f.currency AND l.level = 'Currency' AND l.amount <> 0
              AND l.from_date IS NULL AND l.business_date BETWEEN f.from_date AND f.to_date
            UNION ALL
            SELECT coalesce(t.broker_trade_id, regexp_replace(m.broker_cash_id, '_(BASE|QUOTE)$', ''),
                            v.broker_transaction_id, a.broker_transaction_id, l.broker_transaction_id),
                   NULL, c.amount, c.entry_uid
            FROM cash_ledger c
            LEFT JOIN trades_norm t ON t.trade_uid = c.trade_uid
            LEFT JOIN cash_movements m ON m.cash_uid = c.cash_uid
            LEFT JOIN transfers v ON c.kind = 'TRANSFER' AND v.transfer_uid = left(c.entry_uid, -9)
            LEFT JOIN corporate_actions a ON c.kind = 'CORPORATE_ACTION' AND a.action_uid = left(c.entry_uid, -7)
            LEFT JOIN broker_funds l ON c.kind = 'OTHER' AND l.line_uid = left(c.entry_uid, -6)
            WHERE c.account_id = f.account_id AND c.currency = f.currency AND c.kind <> 'OPENING'
              AND c.booked_on BETWEEN f.from_date AND f.to_date
        ) AS side
        GROUP BY 1
        HAVING abs(coalesce(sum(theirs), 0) - coalesce(sum(ours), 0)) > 0.005
        ORDER BY abs(coalesce(sum(theirs), 0) - coalesce(sum(ours), 0)) DESC, 1 LIMIT 20
    ) AS differing
    WHERE EXISTS (
        SELECT FROM broker_funds l
        WHERE l.account_id = f.account_id AND l.level = 'Currency' AND l.business_date BETWEEN f.from_date AND f.to_date
    )
) AS likely ON f.place = ''
ORDER BY 3
