-- What changed the positions in these instruments within the known history, on the day of the statement that shows it, with
-- the name of the instrument in the row. VOID is what was taken back, and what took it back.
WITH asked AS (
    SELECT account_id, instrument_id
    FROM unnest(%(accounts)s::text[], %(instruments)s::text[]) AS a (account_id, instrument_id)
)
SELECT t.account_id, a.instrument_id, t.trade_uid AS uid, CASE WHEN t.effective THEN 'TRADE' ELSE 'VOID' END AS kind,
       coalesce(t.report_date, t.trade_date) AS on_date,
       coalesce(t.executed_at, (t.trade_date + 1)::timestamp AT TIME ZONE 'UTC') AS at,
       CASE WHEN t.side = 'BUY' THEN t.qty ELSE -t.qty END AS qty, t.position_effect, NULL AS event,
       t.symbol, t.underlying, t.asset_class, t.currency
FROM asked a JOIN trades_norm t ON t.account_id = a.account_id AND coalesce(t.instrument_id, t.symbol) = a.instrument_id
WHERE t.broker = 'IB'
UNION ALL
SELECT c.account_id, a.instrument_id, c.action_uid,
       CASE WHEN c.kind IN ('SPLIT', 'SYMBOL_CHANGE') THEN 'SPLIT' ELSE 'CORPORATE_ACTION' END, c.business_date,
       coalesce(c.happened_at, c.business_date::timestamp AT TIME ZONE 'UTC'), c.qty, NULL,
       coalesce(c.broker_action_id || '@' || c.business_date, c.action_uid),
       c.symbol, c.underlying, c.asset_class, c.currency
FROM asked a JOIN corporate_actions c
    ON c.account_id = a.account_id AND coalesce(c.instrument_id, c.symbol) = a.instrument_id
WHERE c.broker = 'IB' AND c.qty IS NOT NULL
UNION ALL
SELECT m.account_id, a.instrument_id, m.transfer_uid, 'TRANSFER', m.business_date,
       m.business_date::timestamp AT TIME ZONE 'UTC', m.qty, NULL, NULL, m.symbol, m.underlying, m.asset_class, m.currency
FROM asked a JOIN transfers m ON m.account_id = a.account_id AND coalesce(m.instrument_id, m.symbol) = a.instrument_id
WHERE m.broker = 'IB' AND m.qty IS NOT NULL
UNION ALL
SELECT o.account_id, o.instrument_id, o.opening_uid, 'PERSON', o.opened_on,
       coalesce(o.opened_at, o.opened_on::timestamp AT TIME ZONE 'UTC'), o.qty, NULL, NULL,
       o.symbol, o.underlying, o.asset_class, o.currency
FROM asked a JOIN opening_balances o USING (account_id, instrument_id)
WHERE o.source = 'PERSON'
ORDER BY 1, 2, 5, 6, 3
