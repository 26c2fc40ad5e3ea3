-- Lives of positions as the ledger knows them: those that are open with what is held, and those asked for by name.
SELECT r.*, CASE r.status WHEN 'OPEN' THEN held.qty ELSE 0 END AS held_qty
FROM round_trips r
CROSS JOIN LATERAL (
    SELECT sum(CASE WHEN (r.side = 'BUY') = (e.event IN ('OPENED', 'INCREASED')) THEN e.qty ELSE -e.qty END) AS qty
    FROM position_events e WHERE r.status = 'OPEN' AND e.position_uid = r.trade_id) held
WHERE r.account_id = %(account_id)s AND r.source = 'LEDGER' AND (r.status = 'OPEN' OR r.trade_id = ANY (%(ids)s))
ORDER BY r.trade_id
