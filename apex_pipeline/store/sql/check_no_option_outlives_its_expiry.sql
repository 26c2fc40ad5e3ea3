-- C05. Options that are still held, as far as movements tell, on the first session of their exchange after their expiry
-- (the next weekday where its calendar is not known). Only where the account's known days reach it: IB reports a
-- Friday's expiry on Monday, and Futu shows it in a later snapshot of positions only. Futu may go on showing an option
-- for four days after its expiry: as long as it does, both sides still agree, and time alone should mend it.
-- What ended nobody told: where the broker itself holds it no more, the end of it is what is lacking; but what only its
-- end moved, without ever having been opened, was held before anything was told.
-- And the other way round: an end that IB's own section tells moved the option, on its day or a few days beside it.
WITH expired AS MATERIALIZED (
    SELECT i.symbol, i.underlying, i.asset_class, i.expiry, i.currency, i.multiplier, i.ib_conid, i.futu_code,
           coalesce((
               SELECT min(d.on_date) FROM market_days d
               WHERE d.is_session AND d.on_date BETWEEN i.expiry + 1 AND i.expiry + 14
                 AND d.calendar = CASE split_part(i.symbol, '.', 1) WHEN 'US' THEN 'XNYS' WHEN 'HK' THEN 'XHKG' END),
               i.expiry + CASE extract(isodow FROM i.expiry) WHEN 5 THEN 3 WHEN 6 THEN 2 ELSE 1 END) AS after
    FROM instruments i
    WHERE i.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT')
      AND i.expiry BETWEEN %(from_date)s::date - 14 AND %(to_date)s::date
), known AS (
    SELECT 'IB' COLLATE "C" AS broker, account_id, max(to_date) AS last FROM load_coverage
    WHERE broker = 'IB' AND data_type = 'ib_flex' GROUP BY account_id
    UNION ALL
    SELECT 'FUTU', account_id, max(business_date) FROM positions_raw_futu GROUP BY account_id
), asked AS (
    SELECT DISTINCT k.broker, k.account_id, o.symbol, o.after, own.id
    FROM expired o
    JOIN known k ON k.last >= o.after
    CROSS JOIN LATERAL unnest(ARRAY[o.symbol, CASE k.broker WHEN 'IB' THEN o.ib_conid ELSE o.futu_code END]) AS own (id)
    WHERE o.after BETWEEN %(from_date)s::date AND %(to_date)s::date AND own.id IS NOT NULL
), held AS (
    SELECT a.broker, a.account_id, a.symbol, a.after, sum(m.qty) AS qty, max(m.instrument_id) AS instrument_id,
           max(m.business_date) AS last_movement
    FROM asked a JOIN position_movements m ON m.account_id = a.account_id AND m.instrument_id = a.id
    WHERE m.broker = a.broker AND m.business_date <= a.after
    GROUP BY 1, 2, 3, 4
    HAVING sum(m.qty) <> 0
), unreadable AS (
    SELECT account_id, business_date FROM quarantine
    WHERE kind = 'positions' AND resolved_at IS NULL AND account_id IS NOT NULL AND business_date IS NOT NULL
), told AS (
    -- The newest readable snapshot from then on says whether the broker still holds it; NULL where there is none.
    SELECT h.*, o.underlying, o.asset_class, o.expiry, o.currency, o.multiplier, s.day AS told_on,
           CASE WHEN s.day IS NOT NULL THEN coalesce((
               SELECT sum(p.qty) FROM broker_positions p
               WHERE p.business_date = s.day AND p.broker = h.broker AND p.account_id = h.account_id
                 AND p.symbol = h.symbol), 0) END AS told
    FROM held h JOIN expired o USING (symbol)
    CROSS JOIN LATERAL (
        SELECT max(day) AS day FROM (
            SELECT max(r.business_date) AS day FROM positions_raw_futu r
            WHERE h.broker = 'FUTU' AND r.account_id = h.account_id AND r.business_date >= h.after
              AND (h.account_id, r.business_date) NOT IN (SELECT account_id, business_date FROM unreadable)
            UNION ALL
            SELECT max(r.business_date) FROM positions_raw_ib r
            WHERE h.broker = 'IB' AND r.account_id = h.account_id AND r.business_date >= h.after
              AND r.record_key NOT LIKE 'tws:%%'
              AND (h.account_id, r.business_date) NOT IN (SELECT account_id, business_date FROM unreadable)) AS days
    ) AS s
)
SELECT t.broker, t.account_id, t.symbol AS subject, t.after AS business_date, 0::numeric AS expected,
       trim_scale(t.qty) AS actual,
       CASE WHEN late.is_usual THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN late.is_usual THEN 'TIMING' WHEN before.was_held THEN 'OPENING_BALANCE' ELSE 'LIFECYCLE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', t.symbol, 'instrument_id', t.instrument_id, 'underlying', t.underlying, 'expiry', t.expiry,
           'ours', trim_scale(t.qty)::text, 'last_movement', t.last_movement, 'told', trim_scale(t.told)::text,
           'told_on', CASE WHEN t.told <> 0 THEN t.told_on END,
           'compared_before_on', (SELECT max(s.business_date) FROM broker_positions s
                                  WHERE s.broker = t.broker AND s.account_id = t.account_id
                                      AND s.business_date < t.after),
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', p.business_date, p.account_id, p.instrument_id) AS name
                        FROM positions_daily p
                        WHERE p.business_date = t.after AND p.account_id = t.account_id
                          AND p.instrument_id = t.instrument_id
                        UNION ALL
                        (SELECT 2, m.movement_uid FROM position_movements m
                         WHERE m.account_id = t.account_id AND m.instrument_id = t.instrument_id
                           AND m.business_date <= t.after
                         ORDER BY m.business_date DESC, m.ordered_at DESC, m.movement_uid LIMIT 19)) AS names),
           'set_right', CASE WHEN t.told = 0 AND NOT before.was_held THEN jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'trades_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_uid', concat(t.broker, '_', t.account_id, '_LEXPIRATION ', t.symbol), 'broker', t.broker,
                   'account_id', t.account_id, 'broker_trade_id', 'LEXPIRATION ' || t.symbol, 'symbol', t.symbol,
                   'underlying', t.underlying, 'asset_class', t.asset_class, 'kind', 'EXPIRATION', 'effective', true,
                   'side', CASE WHEN t.qty > 0 THEN 'SELL' ELSE 'BUY' END, 'qty', trim_scale(abs(t.qty))::text,
                   'price', '0', 'multiplier', trim_scale(t.multiplier)::text, 'amount', '0', 'currency', t.currency,
                   'trade_date', t.expiry, 'report_date', CASE t.broker WHEN 'IB' THEN t.after END,
                   'position_effect', 'CLOSE', 'source', 'PERSON',
                   'instrument_id', t.instrument_id)))) END)) AS evidence
FROM told t
CROSS JOIN LATERAL (
    SELECT coalesce(t.broker = 'FUTU' AND t.told = t.qty AND t.told_on <= t.expiry + 4, false) AS is_usual) AS late
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE r.direction WHEN 'LONG' THEN -r.qty ELSE r.qty END) = t.qty, false) AS was_held
    FROM realized_pnl r
    WHERE r.account_id = t.account_id AND r.instrument_id = t.instrument_id AND r.lot_uid IS NULL
      AND r.closed_on <= t.after) AS before
UNION ALL
SELECT e.broker, e.account_id, e.event_uid, e.business_date, trim_scale(e.qty), 0, 'ERROR', 'MISSING_B',
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', e.symbol, 'broker_says', e.broker_kind, 'broker_trade_id', e.broker_trade_id,
           'rows', jsonb_build_array(e.event_uid)))
FROM option_events e
WHERE e.business_date BETWEEN %(from_date)s AND %(to_date)s AND e.asset_class IN ('OPTION', 'FUTURE_OPTION')
  AND e.broker_kind IN ('Expiration', 'Assignment', 'Exercise') AND e.qty <> 0
  AND NOT EXISTS (SELECT FROM position_movements m
                  WHERE m.broker = e.broker AND m.account_id = e.account_id AND m.symbol = e.symbol
                    AND m.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION')
                    AND m.business_date BETWEEN e.business_date - 7 AND e.business_date + 7)
  AND NOT EXISTS (SELECT FROM held h WHERE h.broker = e.broker AND h.account_id = e.account_id AND h.symbol = e.symbol)
  -- of before the account's first known day nothing is expected
  AND EXISTS (SELECT FROM load_coverage c
              WHERE c.broker = e.broker AND c.account_id = e.account_id AND e.business_date BETWEEN c.from_date
                  AND c.to_date)
ORDER BY 1, 2, 3
