-- D01. The pieces that a trade closed, against the broker's own realized P&L of it. A piece whose basis is known only from
-- that very figure, or not at all, proves nothing. IB writes a P&L of 0 where it does not know what a trade did. The rows
-- of a corporate action are compared together, where they tell a gain.
WITH trades AS (
    SELECT f.trade_uid, f.broker, f.account_id, f.business_date, f.realized_pnl AS expected,
           f.currency, f.position_effect, t.symbol, coalesce(t.instrument_id, t.symbol) AS instrument_id, t.kind
    FROM broker_trade_figures f JOIN trades_norm t USING (trade_uid)
    WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB' AND f.realized_pnl IS NOT NULL
      AND t.effective AND t.asset_class NOT IN ('FX', 'COMBO')
), actions AS (
    SELECT min(action_uid) AS trade_uid, array_agg(action_uid) AS uids, broker, account_id, business_date,
           sum(realized_pnl) AS expected, min(currency) AS currency, 'CLOSE' AS position_effect, min(symbol) AS symbol,
           min(coalesce(instrument_id, symbol)) AS instrument_id, 'CORPORATE_ACTION' AS kind
    FROM corporate_actions
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND asset_class NOT IN ('FX', 'COMBO')
    GROUP BY broker, account_id, business_date, coalesce(broker_action_id, action_uid)
    HAVING sum(realized_pnl) <> 0
), closings AS (
    SELECT * FROM trades
    UNION ALL
    SELECT trade_uid, broker, account_id, business_date, expected, currency, position_effect, symbol, instrument_id, kind
    FROM actions
), own AS (
    SELECT trade_uid, trade_uid AS uid FROM trades UNION ALL SELECT trade_uid, unnest(uids) FROM actions
), ours AS (
    SELECT o.trade_uid, sum(r.realized_pnl) AS actual, count(*) AS pieces,
           bool_and(r.realized_pnl IS NOT NULL) AS is_known,
           bool_and(r.basis_source IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON')) AS in_proof
    FROM own o JOIN realized_pnl r ON r.close_trade_uid = o.uid
    GROUP BY 1
)
SELECT c.broker, c.account_id, c.trade_uid AS subject, c.business_date, c.expected,
       CASE WHEN o.is_known THEN trim_scale(o.actual) END AS actual, c.currency,
       CASE WHEN stop.uid IS NULL THEN 'ERROR' ELSE 'WARN' END AS severity,
       CASE WHEN stop.uid IS NOT NULL THEN 'CORP_ACTION' WHEN o.trade_uid IS NULL THEN 'MISSING_B' END AS cause,
       jsonb_build_object('symbol', c.symbol, 'kind', c.kind, 'position_effect', c.position_effect,
                          'pieces', coalesce(o.pieces, 0)) AS evidence
FROM closings c
LEFT JOIN ours o USING (trade_uid)
LEFT JOIN LATERAL (
    SELECT l.stop_uid AS uid FROM ledger_stops l
    WHERE l.account_id = c.account_id AND l.instrument_id = c.instrument_id AND l.business_date <= c.business_date LIMIT 1
) AS stop ON o.trade_uid IS NULL
WHERE CASE WHEN c.position_effect IS NULL AND c.expected = 0 THEN false
           WHEN o.trade_uid IS NULL THEN abs(c.expected) > 0.01
           ELSE o.in_proof AND (NOT o.is_known OR abs(o.actual - c.expected) > 0.01) END
ORDER BY 3
