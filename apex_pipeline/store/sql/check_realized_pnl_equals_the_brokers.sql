-- D01. The pieces that a trade closed, against the broker's own realized P&L of it. A piece whose basis is known only
-- from that very figure, or not at all, proves nothing. IB writes a P&L of 0 where it does not know what a trade did.
-- The rows of a corporate action are compared together, where they tell a gain.
-- And by contract, for the days of a statement: what IB's own summary of performance tells as realized in the base
-- currency, where all pieces that were closed and reported in these days are proven, nothing of the contract was
-- cancelled, transferred or replaced, and it is told once; a foreign gain may be converted at another moment (half a
-- per cent). What is reported late is of the day of its report or of its trade.
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
    SELECT trade_uid, broker, account_id, business_date, expected, currency, position_effect, symbol, instrument_id,
        kind
    FROM actions
), own AS (
    SELECT trade_uid, trade_uid AS uid FROM trades UNION ALL SELECT trade_uid, unnest(uids) FROM actions
), ours AS (
    SELECT o.trade_uid, sum(r.realized_pnl) AS actual, count(*) AS pieces, min(r.opened_on) AS opened_on,
           bool_and(r.realized_pnl IS NOT NULL) AS is_known,
           bool_and(r.basis_source IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON')) AS in_proof
    FROM own o JOIN realized_pnl r ON r.close_trade_uid = o.uid
    GROUP BY 1
), summed AS (
    SELECT broker, account_id, subject AS symbol, from_date, to_date,
           sum((figures ->> 'totalRealizedPnl')::numeric) AS expected, min(figures_uid) AS uid
    FROM broker_figures
    WHERE section = 'FIFOPerformanceSummaryInBase' AND business_date BETWEEN %(from_date)s AND %(to_date)s
      AND from_date IS NOT NULL AND subject <> '' AND figures ? 'totalRealizedPnl'
    GROUP BY 1, 2, 3, 4, 5
    HAVING count(*) = 1 AND bool_and(coalesce((figures ->> 'transferredPnl')::numeric, 0) = 0)
), by_day AS (
    -- What was closed of a contract, by the day of its report and by that of its trade.
    SELECT t.account_id, r.symbol, moment.on_date, moment.is_report, sum(r.realized_pnl_base) AS gain,
        min(r.base_currency) AS currency,
           sum(abs(r.realized_pnl_base)) FILTER (WHERE r.currency <> r.base_currency) AS foreign_gain,
           array_agg(DISTINCT r.close_trade_uid) AS uids,
           bool_and(r.basis_source IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON')
                    AND r.realized_pnl_base IS NOT NULL) AS in_proof
    FROM realized_pnl r
    JOIN trades_norm t ON t.trade_uid = r.close_trade_uid
    CROSS JOIN LATERAL (
        VALUES (coalesce(t.report_date, t.trade_date), true), (t.trade_date, false)
    ) AS moment (on_date, is_report)
    WHERE t.broker = 'IB' AND t.source = 'FLEX'
      AND t.trade_date BETWEEN (SELECT min(from_date) - 7 FROM summed) AND (SELECT max(to_date) FROM summed)
    GROUP BY 1, 2, 3, 4
), matched AS (
    SELECT s.*, d.is_report, d.gain, d.foreign_gain, d.currency, d.uids AS closings, d.in_proof
    FROM summed s JOIN by_day d ON d.account_id = s.account_id AND d.symbol = s.symbol AND d.on_date = s.to_date
    WHERE s.from_date = s.to_date
    UNION ALL
    SELECT s.*, d.is_report, d.gain, d.foreign_gain, d.currency, d.uids, d.in_proof
    FROM summed s JOIN by_day d ON d.account_id = s.account_id AND d.symbol = s.symbol
        AND d.on_date BETWEEN s.from_date AND s.to_date
    WHERE s.from_date < s.to_date
), by_contract AS (
    SELECT m.broker, m.account_id, m.symbol, m.from_date, m.to_date, m.expected, m.uid, min(m.currency) AS currency,
           0.01 * count(DISTINCT m.closings[1]) + coalesce(sum(m.foreign_gain), 0) * 0.005 AS tolerance,
           coalesce(sum(m.gain) FILTER (WHERE m.is_report), 0) AS actual,
           coalesce(sum(m.gain) FILTER (WHERE NOT m.is_report), 0) AS traded
    FROM matched m
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING bool_and(m.in_proof)
), odd AS (
    SELECT b.* FROM by_contract b
    WHERE abs(b.actual - b.expected) > b.tolerance AND abs(b.traded - b.expected) > b.tolerance
      AND NOT EXISTS (SELECT FROM trades_norm t
                      WHERE t.broker = 'IB' AND t.account_id = b.account_id AND t.symbol = b.symbol
                        AND NOT t.effective AND t.trade_date >= b.from_date - 40 AND t.trade_date <= b.to_date)
      AND NOT EXISTS (SELECT FROM corporate_actions a
                      WHERE a.account_id = b.account_id AND a.symbol = b.symbol
                        AND a.business_date BETWEEN b.from_date AND b.to_date)
), closings_of AS (
    SELECT o.uid, array_agg(DISTINCT c.uid ORDER BY c.uid) AS uids
    FROM odd o JOIN matched m USING (uid) CROSS JOIN LATERAL unnest(m.closings) AS c (uid) GROUP BY 1
)
SELECT c.broker, c.account_id, c.trade_uid AS subject, c.business_date, c.expected,
       CASE WHEN o.is_known THEN trim_scale(o.actual) END AS actual, c.currency,
       CASE WHEN stop.uid IS NULL THEN 'ERROR' ELSE 'WARN' END AS severity,
       CASE WHEN stop.uid IS NOT NULL THEN 'CORP_ACTION' WHEN o.trade_uid IS NULL THEN 'MISSING_B' END AS cause,
       jsonb_build_object('symbol', c.symbol, 'kind', c.kind, 'position_effect', c.position_effect,
                          'pieces', coalesce(o.pieces, 0), 'opened_on', o.opened_on) AS evidence
FROM closings c
LEFT JOIN ours o USING (trade_uid)
LEFT JOIN LATERAL (
    SELECT l.stop_uid AS uid FROM ledger_stops l
    WHERE l.account_id = c.account_id AND l.instrument_id = c.instrument_id
        AND l.business_date <= c.business_date LIMIT 1
) AS stop ON o.trade_uid IS NULL
WHERE CASE WHEN c.position_effect IS NULL AND c.expected = 0 THEN false
           WHEN o.trade_uid IS NULL THEN abs(c.expected) > 0.01
           ELSE o.in_proof AND (NOT o.is_known OR abs(o.actual - c.expected) > 0.01) END
UNION ALL
SELECT b.broker, b.account_id, concat_ws(' ', b.account_id, b.symbol, b.from_date || '..' || b.to_date), b.to_date,
    b.expected,
       trim_scale(b.actual), b.currency, 'ERROR', NULL,
       jsonb_build_object('symbol', b.symbol, 'from_date', b.from_date, 'trades', to_jsonb(c.uids),
                          'rows', jsonb_build_array('broker_figures/' || b.uid) || to_jsonb(c.uids[1:15]))
FROM odd b JOIN closings_of c USING (uid)
ORDER BY 3
