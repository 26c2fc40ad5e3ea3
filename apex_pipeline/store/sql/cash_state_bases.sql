-- From where the states of cash of some accounts go on, by currency: the last stored day but one before the day given,
-- because the last one may have stood there only as the last known day. NULL: from the beginning.
WITH RECURSIVE due AS (
    SELECT * FROM unnest(%(accounts)s::text[], %(dates)s::date[]) AS due (account_id, from_day)
), held AS (
    -- currencies by skipping through the index, however many entries there are
    SELECT d.account_id, (
        SELECT c.currency FROM cash_ledger c WHERE c.account_id = d.account_id ORDER BY c.currency LIMIT 1
    ) AS currency
    FROM due d
    UNION ALL
    SELECT h.account_id, (
        SELECT c.currency FROM cash_ledger c
        WHERE c.account_id = h.account_id AND c.currency > h.currency ORDER BY c.currency LIMIT 1
    )
    FROM held h WHERE h.currency IS NOT NULL
)
SELECT h.account_id, h.currency, first.broker, opening.booked_on AS opened_on,
       greatest((SELECT max(c.to_date) FROM load_coverage c
                 WHERE c.broker = first.broker AND c.account_id = h.account_id
                   AND c.data_type IN ('futu_deals', 'ib_flex')),
                (SELECT max(c.booked_on) FROM cash_ledger c
                 WHERE c.account_id = h.account_id AND c.currency = h.currency)) AS known_to,
       base.as_of AS after_day, base.total_cash, base.settled_cash
FROM held h
JOIN due d ON d.account_id = h.account_id
CROSS JOIN LATERAL (
    SELECT c.broker FROM cash_ledger c WHERE c.account_id = h.account_id AND c.currency = h.currency LIMIT 1
) AS first
LEFT JOIN cash_ledger opening ON opening.entry_uid = h.account_id || ':' || h.currency || ':OPENING'
LEFT JOIN LATERAL (
    SELECT s.as_of, s.total_cash, s.settled_cash FROM cash_account_state s
    WHERE s.account_id = h.account_id AND s.currency = h.currency AND s.as_of < d.from_day
    ORDER BY s.as_of DESC OFFSET 1 LIMIT 1
) AS base ON (base.total_cash IS NOT NULL) = coalesce(opening.booked_on <= base.as_of, false)
WHERE h.currency IS NOT NULL
ORDER BY 1, 2
