-- D02. The lots that a closing consumed, at Interactive Brokers and in our ledger: the same moments of opening with the
-- same quantities (shares are exact, fractions within 1e-8) and, where the gain of the closing agrees, the same cost
-- (0.01). Lots of one moment are summed, because the broker may merge or split them, and so are trades that closed
-- within one second.
-- Where only the lots differ, the broker followed another method: the account switched it (CONVENTION). Where it names an
-- opening that we have no lot of, a trade of ours is missing (MISSING_B). Neither is known where the broker's own gain of
-- the closing is that of our lots, or the trade that it names was made at another moment: its rows contradict each other.
-- Left out: closings of which a lot, its moment or its basis is not known, averaged lots, instruments whose ledger
-- stopped.
-- What a closing takes from another lot later ones lack, so only the first of a row is told. A row ends with a closing
-- that agrees although another lot was left (of the instrument or, of another method, of the account), or after 31 days.
WITH told AS (
    SELECT account_id, coalesce(instrument_id, symbol) AS instrument, date_trunc('second', closed_at) AS closed_at,
           date_trunc('second', opened_at) AS opened_at, business_date, symbol, currency, abs(qty) AS qty,
           abs(cost_basis) AS cost, open_trade_id, lot_uid
    FROM broker_closed_lots
    WHERE business_date BETWEEN %(from_date)s::date - 31 AND %(to_date)s AND broker = 'IB'
      AND asset_class NOT IN ('FX', 'COMBO') AND closed_at IS NOT NULL
), sides AS (
    SELECT account_id, instrument, closed_at, opened_at, business_date, symbol, currency, qty AS told_qty,
           cost AS told_cost, NULL::numeric AS qty, NULL::numeric AS cost, NULL AS uid, NULL AS method,
           NULL::date AS closed_on, opened_at IS NOT NULL AND cost IS NOT NULL AS is_known
    FROM told
    UNION ALL
    -- Book entries may be told some days after they happened.
    SELECT account_id, instrument_id, date_trunc('second', closed_at), date_trunc('second', opened_at), NULL, NULL, NULL,
           NULL, NULL, qty, abs(cost_basis), close_trade_uid, method, closed_on,
           lot_uid IS NOT NULL AND opened_at IS NOT NULL AND cost_basis IS NOT NULL AND method <> 'AVERAGE'
           AND basis_source IN ('TRADES', 'BROKER_LOT', 'BROKER_CLOSED_LOT', 'PERSON')
    FROM realized_pnl
    WHERE closed_on BETWEEN %(from_date)s::date - 41 AND %(to_date)s::date + 10 AND broker = 'IB'
      AND closed_at IS NOT NULL
), moments AS MATERIALIZED (
    SELECT account_id, instrument, closed_at, opened_at, min(business_date) AS business_date, min(symbol) AS symbol,
           min(currency) AS currency, coalesce(sum(told_qty), 0) AS told_qty, sum(told_cost) AS told_cost,
           coalesce(sum(qty), 0) AS qty, sum(cost) AS cost, min(uid) AS uid, max(uid) AS last_uid,
           min(method) AS method, min(closed_on) AS closed_on, bool_and(is_known) AS is_known
    FROM sides GROUP BY 1, 2, 3, 4
), closings AS MATERIALIZED (
    -- Both sides tell the closing, and all of its lots are known.
    SELECT account_id, instrument, closed_at, min(business_date) AS business_date, min(symbol) AS symbol,
           min(currency) AS currency, sum(told_qty) AS told_qty, sum(qty) AS qty, sum(told_cost) AS told_cost,
           sum(cost) AS cost, sum(least(told_qty, qty)) AS same_qty, bool_or(abs(told_qty - qty) > 1e-8) AS other_lots,
           coalesce(bool_or(abs(told_cost - cost) > 0.01), false) AS other_cost, min(uid) AS uid,
           max(last_uid) AS last_uid, min(method) AS method, min(closed_on) AS closed_on,
           min(opened_at) AS first_opened_at, max(opened_at) AS last_opened_at
    FROM moments
    GROUP BY 1, 2, 3
    HAVING sum(told_qty) > 0 AND sum(qty) > 0 AND bool_and(is_known)
), unmatched AS (
    -- Moments of opening that we have no lot of. The trade that the broker names with one may be known all the same.
    SELECT m.account_id, m.instrument, m.closed_at, bool_and(EXISTS (
               SELECT FROM told l JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = l.account_id
                                                    AND t.broker_trade_id = l.open_trade_id
               WHERE l.account_id = m.account_id AND l.instrument = m.instrument AND l.closed_at = m.closed_at
                 AND l.opened_at = m.opened_at)) AS is_known_trade
    FROM moments m
    WHERE m.told_qty > m.qty
      AND NOT EXISTS (SELECT FROM lots l
                      WHERE l.account_id = m.account_id AND l.instrument_id = m.instrument
                        AND date_trunc('second', l.opened_at) = m.opened_at)
    GROUP BY 1, 2, 3
), differing AS MATERIALIZED (
    SELECT c.account_id, c.instrument, c.closed_at, c.other_lots, coalesce(NOT l.is_known_trade, false) AS lacks_a_lot,
           -- Its own gain is that of our lots and not of those that it names, or its own trade was of another moment.
           abs(c.told_cost - c.cost) > 0.01 AND gain.agrees OR coalesce(l.is_known_trade, false) AS contradicts_itself
    FROM closings c
    LEFT JOIN unmatched l USING (account_id, instrument, closed_at)
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_and(abs(f.realized_pnl - own.gain) <= 0.01), false) AS agrees,
               coalesce(bool_or(abs(f.realized_pnl - own.gain) > 0.01), false) AS differs
        FROM (SELECT r.close_trade_uid, sum(r.realized_pnl) AS gain FROM realized_pnl r
              WHERE r.account_id = c.account_id AND r.instrument_id = c.instrument AND r.closed_on = c.closed_on
                AND r.closed_at >= c.closed_at AND r.closed_at < c.closed_at + interval '1 second'
              GROUP BY 1) AS own
        JOIN broker_trade_figures f ON f.trade_uid = own.close_trade_uid
        WHERE c.other_lots OR c.other_cost
    ) AS gain
    -- Of the same lots a gain that differs is told as such.
    WHERE (c.other_lots OR c.other_cost AND NOT gain.differs)
      AND NOT EXISTS (SELECT FROM ledger_stops s WHERE s.account_id = c.account_id AND s.instrument_id = c.instrument
                      AND s.business_date <= c.business_date)
), held AS (
    -- The oldest lot that is still open, by instrument.
    SELECT l.account_id, l.instrument_id AS instrument, min(l.opened_at) AS opened_at
    FROM lots l
    WHERE EXISTS (SELECT FROM differing)
      AND (l.account_id, l.instrument_id) IN (SELECT account_id, instrument FROM closings)
      AND (l.closed_on IS NULL OR l.closed_on > %(to_date)s)
    GROUP BY 1, 2
), placed AS (
    SELECT c.*, d.closed_at IS NOT NULL AS differs, coalesce(d.lacks_a_lot, false) AS lacks_a_lot,
           coalesce(d.contradicts_itself, false) AS contradicts_itself,
           coalesce(d.other_lots AND NOT d.lacks_a_lot AND NOT d.contradicts_itself, false) AS other_method,
           least(h.opened_at, min(c.first_opened_at) OVER (
               PARTITION BY c.account_id, c.instrument ORDER BY c.closed_at
               ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
           )) AS left_opened_at
    FROM closings c
    LEFT JOIN differing d USING (account_id, instrument, closed_at)
    LEFT JOIN held h USING (account_id, instrument)
    WHERE EXISTS (SELECT FROM differing)
), in_rows AS (
    SELECT *, max(closed_at) FILTER (WHERE differs) OVER instrument AS last_of_instrument,
           max(closed_at) FILTER (WHERE ends_a_row) OVER instrument AS end_of_instrument,
           max(closed_at) FILTER (WHERE other_method) OVER account AS last_of_account,
           max(closed_at) FILTER (WHERE ends_a_row) OVER account AS end_of_account
    FROM (SELECT *, NOT differs AND left_opened_at > last_opened_at AND left_opened_at < closed_at AS ends_a_row
          FROM placed) AS ended
    WINDOW instrument AS (PARTITION BY account_id, instrument ORDER BY closed_at
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
           account AS (PARTITION BY account_id ORDER BY closed_at, instrument
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), found AS MATERIALIZED (
    SELECT *, abs(told_qty - qty) > 1e-8 AS other_qty FROM in_rows
    WHERE differs AND business_date BETWEEN %(from_date)s AND %(to_date)s
      AND (last_of_instrument IS NULL OR last_of_instrument <= end_of_instrument
           OR last_of_instrument < closed_at - interval '31 days')
      AND (NOT other_method OR last_of_account IS NULL OR last_of_account <= end_of_account
           OR last_of_account < closed_at - interval '31 days')
), chosen AS (
    -- The lots that the broker names for this and the later closings of another method, by the trades that opened them.
    SELECT f.account_id, f.uid AS first_uid, f.closed_on AS from_date, p.uid AS close_uid, t.trade_uid AS open_uid,
           sum(l.qty) AS qty, bool_and(p.uid = p.last_uid AND t.trade_uid IS NOT NULL) AS is_plain
    FROM found f
    JOIN placed p ON p.account_id = f.account_id AND p.closed_at >= f.closed_at AND p.other_method
    JOIN told l ON l.account_id = p.account_id AND l.instrument = p.instrument AND l.closed_at = p.closed_at
    LEFT JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = l.account_id AND t.broker_trade_id = l.open_trade_id
                           AND t.effective
    WHERE f.other_method AND NOT f.other_qty AND f.method = 'FIFO'
    GROUP BY 1, 2, 3, 4, 5
), proposed AS (
    SELECT first_uid, jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'account_rules', 'row', jsonb_build_object(
                   'account_id', account_id, 'rule', 'LOT_METHOD', 'from_date', from_date, 'value', 'SPECIFIC',
                   'set_at', from_date::timestamp AT TIME ZONE 'UTC')))
           || jsonb_agg(jsonb_build_object('do', 'insert', 'table', 'lot_selections', 'row', jsonb_build_object(
                  'close_trade_uid', close_uid, 'open_trade_uid', open_uid, 'qty', trim_scale(qty)::text))
              ORDER BY close_uid, open_uid) AS changes
    FROM chosen GROUP BY first_uid, account_id, from_date
    HAVING bool_and(is_plain) AND count(*) <= 500
)
SELECT 'IB' AS broker, f.account_id, f.uid AS subject, f.business_date,
       trim_scale(CASE WHEN f.other_lots THEN f.told_qty ELSE f.told_cost END) AS expected,
       trim_scale(CASE WHEN f.other_qty THEN f.qty WHEN f.other_lots THEN f.same_qty ELSE f.cost END) AS actual,
       CASE WHEN NOT f.other_lots THEN f.currency END AS currency, 'ERROR' AS severity,
       CASE WHEN f.contradicts_itself THEN NULL WHEN f.lacks_a_lot THEN 'MISSING_B'
            WHEN f.other_method AND NOT f.other_qty THEN 'CONVENTION' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'compared', CASE WHEN f.other_qty THEN 'quantity closed' WHEN f.other_lots THEN 'quantity of the same lots'
                            ELSE 'cost of the lots' END,
           'symbol', f.symbol, 'instrument_id', f.instrument, 'closed_at', f.closed_at, 'method', f.method,
           'contradicts_itself', CASE WHEN f.contradicts_itself THEN true END,
           'told_cost', trim_scale(f.told_cost)::text, 'cost', trim_scale(f.cost)::text,
           'theirs', theirs.lots, 'ours', own.lots, 'rows', own.uids || theirs.uids, 'set_right', p.changes)) AS evidence
FROM found f
LEFT JOIN proposed p ON p.first_uid = f.uid
CROSS JOIN LATERAL (
    SELECT jsonb_agg(lot ORDER BY opened_at, lot_uid) AS lots, jsonb_agg(uid ORDER BY opened_at, lot_uid) AS uids
    FROM (SELECT t.opened_at, t.lot_uid, 'broker_closed_lots/' || t.lot_uid AS uid,
                 jsonb_build_object('opened_at', t.opened_at, 'qty', trim_scale(t.qty)::text,
                                    'cost', trim_scale(t.cost)::text, 'opened_by', t.open_trade_id) AS lot
          FROM told t
          WHERE t.account_id = f.account_id AND t.instrument = f.instrument AND t.closed_at = f.closed_at
          ORDER BY 1, 2 LIMIT 10) AS first_ten
) AS theirs
CROSS JOIN LATERAL (
    SELECT jsonb_agg(lot ORDER BY opened_at, realized_uid) AS lots,
           jsonb_agg(realized_uid ORDER BY opened_at, realized_uid) AS uids
    FROM (SELECT r.opened_at, r.realized_uid,
                 jsonb_build_object('opened_at', r.opened_at, 'qty', trim_scale(r.qty)::text,
                                    'cost', trim_scale(abs(r.cost_basis))::text, 'opened_by', r.open_trade_uid) AS lot
          FROM realized_pnl r
          WHERE r.account_id = f.account_id AND r.instrument_id = f.instrument
            AND r.closed_at >= f.closed_at AND r.closed_at < f.closed_at + interval '1 second'
          ORDER BY 1, 2 LIMIT 10) AS first_ten
) AS own
ORDER BY 4, 3
