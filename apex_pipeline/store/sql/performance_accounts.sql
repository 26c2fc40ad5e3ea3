-- Each account with its broker, and its base currencies: as a person said, else that of its broker's rates, else that
-- in which its broker says what it is worth, else its only currency. Those hold from the beginning.
SELECT a.account_id, coalesce(worth.broker, cash.broker, rates.broker) AS broker,
       coalesce(rates.base, worth.base, cash.base) AS base, said.days, said.bases
FROM unnest(%(accounts)s::text[]) AS a (account_id)
LEFT JOIN LATERAL (
    SELECT r.broker, r.to_currency AS base FROM conversion_rates r WHERE r.account_id = a.account_id
    ORDER BY r.business_date DESC, r.to_currency LIMIT 1
) AS rates ON true
LEFT JOIN LATERAL (
    SELECT b.broker, CASE WHEN b.net_liquidation IS NOT NULL THEN b.currency END AS base FROM broker_balances b
    WHERE b.account_id = a.account_id
    ORDER BY b.net_liquidation IS NULL, b.business_date DESC, b.currency LIMIT 1
) AS worth ON true
LEFT JOIN LATERAL (
    SELECT min(s.broker) AS broker, CASE WHEN count(DISTINCT s.currency) = 1 THEN min(s.currency) END AS base
    FROM cash_account_state s WHERE s.account_id = a.account_id
) AS cash ON true
LEFT JOIN LATERAL (
    SELECT array_agg(r.from_date ORDER BY r.from_date) AS days, array_agg(r.value ORDER BY r.from_date) AS bases
    FROM account_rules r WHERE r.account_id = a.account_id AND r.rule = 'BASE_CURRENCY'
) AS said ON true
