-- D13. IB takes a booking of cash back with another of the opposite amount, to the last digit, of the same account,
-- type, currency and action (actionID, else contract). A reversal is what says so, a negative dividend, and a positive
-- tax of an action (without one it may be a refund); a negative payment in lieu is what a short position pays. Each
-- needs an earlier booking of its own, or brings what was booked of the action to 0. Where its original may lie before
-- the history it is a warning: it is dated before it, or within 400 days of its begin (taxes are worked over in the
-- spring after their year) and no other booking of its action is known. So is one without an actionID.
-- Our amount of every booking is that of its record, and its line of funds does not have the other sign.
WITH booked AS MATERIALIZED (
    SELECT m.cash_uid, m.account_id, m.broker_cash_id AS record_key, m.booked_on, m.amount, m.currency, m.symbol,
           m.description, lower(regexp_replace(btrim(m.broker_kind), '\s+', ' ', 'g')) AS type, m.broker_kind, m.kind,
           CASE WHEN btrim(r.payload ->> 'amount') ~ '^[-+]?\d+\.?\d*$'
                THEN btrim(r.payload ->> 'amount')::numeric END AS told,
           nullif(nullif(btrim(r.payload ->> 'actionID'), ''), '0') AS action_id,
           coalesce(nullif(nullif(btrim(r.payload ->> 'conid'), ''), '0'), m.symbol, '') AS contract,
           (SELECT min(left(day, 10)) FROM unnest(ARRAY[
                regexp_replace(btrim(r.payload ->> 'dateTime'), '^(\d{4})(\d\d)(\d\d)($|\D.*)', '\1-\2-\3'),
                m.event_date::text, m.settle_date::text]) AS day
            WHERE day ~ '^\d{4}-\d\d-\d\d') AS dated
    FROM cash_movements m
    LEFT JOIN cash_raw_ib r ON r.account_id = m.account_id AND r.record_key = m.broker_cash_id
    WHERE m.broker = 'IB' AND m.source = 'FLEX'
), named AS (
    SELECT b.*, coalesce(action_id, contract) AS about,
           description ~* '\mrevers(al|ed)\M' OR type = 'dividends' AND amount < 0
               OR type IN ('withholding tax', '871(m) withholding') AND amount > 0 AND action_id IS NOT NULL
               AS takes_back
    FROM booked b
), turned AS (
    -- 1 for what is booked, -1 for what takes it back; rows without a number stand in this order on their day
    SELECT n.*, sign(amount) * CASE WHEN type IN ('withholding tax', '871(m) withholding') THEN -1
                                    WHEN type = 'dividends' THEN 1
                                    ELSE -sign(min(amount) FILTER (WHERE takes_back) OVER about_amount) END AS way
    FROM named n
    WINDOW about_amount AS (PARTITION BY account_id, currency, type, about, abs(amount))
), placed AS (
    SELECT t.*, CASE WHEN record_key ~ '^\d+$' THEN 0 ELSE -way END AS place,
           sum(amount) OVER (PARTITION BY account_id, currency, type, about
                             ORDER BY booked_on, length(record_key), record_key) AS running
    FROM turned t
), stepped AS (
    SELECT p.*, sum(way) OVER (PARTITION BY account_id, currency, type, about, abs(amount)
                               ORDER BY booked_on, place, length(record_key), record_key) AS left_over
    FROM placed p
), numbered AS (
    -- the fewest that were ever left over of an amount, with and without a row: one that has no opposite lowers it
    SELECT s.*, least(min(left_over) OVER upto, 0) AS low, least(min(left_over) OVER before, 0) AS low_before
    FROM stepped s
    WINDOW upto AS (PARTITION BY account_id, currency, type, about, abs(amount)
                    ORDER BY booked_on, place, length(record_key), record_key),
           before AS (PARTITION BY account_id, currency, type, about, abs(amount)
                      ORDER BY booked_on, place, length(record_key), record_key
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), history AS (
    SELECT account_id, min(from_date) AS begins FROM load_coverage WHERE broker = 'IB' GROUP BY 1
), judged AS (
    SELECT n.*, h.begins, line.amount AS line_amount, line.line_uid,
           EXISTS (SELECT FROM broker_funds l
                   WHERE l.account_id = n.account_id
                     AND l.business_date BETWEEN n.booked_on - 7 AND n.booked_on + 7) AS has_funds,
           other.amounts, other.nearest, other.names, action.known,
           n.told <> n.amount AND line.amount IS DISTINCT FROM n.amount AS is_ours,
           line.amount = -n.amount AND n.amount <> 0 AS is_turned,
           n.takes_back AND n.running <> 0 AND n.low < n.low_before AND loose.cash_uid IS NULL AS is_alone
    FROM numbered n
    LEFT JOIN history h USING (account_id)
    LEFT JOIN LATERAL (
        SELECT sum(l.amount) AS amount, min(l.line_uid) AS line_uid FROM broker_funds l
        WHERE l.account_id = n.account_id AND l.broker_transaction_id = n.record_key AND l.level = 'Currency'
          AND l.currency = n.currency AND l.from_date IS NULL
          AND l.business_date BETWEEN n.booked_on - 7 AND n.booked_on + 7
    ) AS line ON true
    LEFT JOIN LATERAL (
        -- bookings that this one may take back
        SELECT to_jsonb((array_agg(o.amount::text ORDER BY o.booked_on, o.cash_uid))[:20]) AS amounts,
               (array_agg(o.amount ORDER BY abs(o.amount + n.amount), o.cash_uid))[1] AS nearest,
               (array_agg(o.cash_uid ORDER BY abs(o.amount + n.amount), o.cash_uid))[:10] AS names
        FROM named o
        WHERE n.takes_back AND o.account_id = n.account_id AND o.currency = n.currency AND o.type = n.type
          AND o.about = n.about AND o.cash_uid <> n.cash_uid AND sign(o.amount) = -sign(n.amount)
          AND (o.booked_on < n.booked_on
               -- of one day the number says what was before: a dividend is booked anew after its reversal
               OR o.booked_on = n.booked_on AND (o.record_key !~ '^\d+$' OR n.record_key !~ '^\d+$'
                  OR (length(o.record_key), o.record_key) < (length(n.record_key), n.record_key)))
    ) AS other ON true
    LEFT JOIN LATERAL (
        -- one of the two may lack the actionID; one that only a line of funds tells lacks its type and conid as well
        SELECT o.cash_uid FROM named o
        WHERE n.takes_back AND o.account_id = n.account_id AND o.currency = n.currency
          AND (o.type = n.type OR o.kind = n.kind AND (o.type IS NULL OR n.type IS NULL))
          AND (o.contract = n.contract AND n.contract <> '' OR o.symbol = n.symbol)
          AND (o.action_id IS NULL) <> (n.action_id IS NULL)
          AND o.amount = -n.amount AND o.booked_on <= n.booked_on
        LIMIT 1
    ) AS loose ON true
    LEFT JOIN LATERAL (
        SELECT true AS known FROM named o
        WHERE n.takes_back AND o.account_id = n.account_id AND o.action_id = n.action_id AND o.cash_uid <> n.cash_uid
          AND o.booked_on <= n.booked_on AND NOT o.takes_back LIMIT 1
    ) AS action ON true
    WHERE n.booked_on BETWEEN %(from_date)s AND %(to_date)s
)
SELECT 'IB' AS broker, j.account_id, j.cash_uid AS subject, j.booked_on AS business_date,
       CASE WHEN is_ours THEN told WHEN is_turned THEN line_amount ELSE -amount END AS expected,
       CASE WHEN is_ours OR is_turned THEN amount ELSE coalesce(nullif(nearest, -amount), 0) END AS actual,
       CASE WHEN is_ours OR is_turned THEN 'ERROR'
            WHEN action_id IS NULL OR dated < begins::text
                 OR known IS NULL AND coalesce(booked_on < begins + 400, true) THEN 'WARN'
            ELSE 'ERROR' END AS severity,
       j.currency,
       CASE WHEN is_ours THEN 'PIPELINE' WHEN is_turned THEN NULL WHEN nearest IS NULL THEN 'MISSING_A'
            WHEN nearest = -amount THEN 'DUPLICATE' ELSE 'CORRECTION' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'what', CASE WHEN is_ours THEN 'our amount is not that of the record'
                        WHEN is_turned THEN 'the line of funds has the other sign'
                        ELSE 'nothing of this amount was booked before' END,
           'type', broker_kind, 'symbol', symbol, 'description', description, 'actionID', action_id,
           'amount', amount::text, 'told', told::text, 'line_of_funds', line_amount::text, 'booked_before', amounts,
           'history_begins', begins,
           'rows', to_jsonb(array_remove(ARRAY[cash_uid, concat_ws('/', 'cash_raw_ib', j.account_id, record_key),
                                               'broker_funds/' || line_uid] || names, NULL)),
           'set_right', CASE
               WHEN is_ours OR line_amount <> amount THEN jsonb_build_array(jsonb_build_object(
                   'do', 'update', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', cash_uid),
                   'row', jsonb_build_object('amount', CASE WHEN is_ours THEN told ELSE line_amount END::text)))
               -- the funds of these days know nothing of it
               WHEN line_uid IS NULL AND has_funds THEN jsonb_build_array(jsonb_build_object(
                   'do', 'delete', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', cash_uid)))
           END)) AS evidence
FROM judged j
WHERE is_ours OR is_turned OR is_alone
ORDER BY 3
