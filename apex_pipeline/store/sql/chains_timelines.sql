-- The newest chains that were rolled, adjusted or ended otherwise than by an order: one row per event.
WITH newest AS (
    SELECT * FROM strategy_chains WHERE rolls > 0 OR adjustments > 0 OR status IN ('ASSIGNED', 'EXERCISED')
    ORDER BY opened_on DESC, opened_at DESC NULLS LAST, chain_uid
    LIMIT %(most)s
)
SELECT c.account_id, c.underlying, concat_ws(' ', c.current_type, c.status) AS chain, (e.event ->> 'on')::date AS "on",
       concat_ws(' ', e.event ->> 'action', e.event ->> 'sub_type') AS event, e.event ->> 'what' AS what,
       (e.event ->> 'net_premium')::numeric AS net_premium, (e.event ->> 'realized')::numeric AS realized_pnl, c.currency
FROM newest c CROSS JOIN LATERAL jsonb_array_elements(c.events) WITH ORDINALITY AS e (event, place)
ORDER BY c.opened_on DESC, c.opened_at DESC NULLS LAST, c.chain_uid, e.place
