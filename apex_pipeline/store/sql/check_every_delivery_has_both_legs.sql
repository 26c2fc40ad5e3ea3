-- C06. An exercised or assigned option delivers contracts x multiplier shares at its strike: a long call and a short
-- put take them in, a long put and a short call give them away. Both rows share a link. An option on an index, or one
-- that ended at a price and moved nothing, was settled in cash. IB's shares that no option of their link delivered are
-- one finding too: there the option is not told.
-- What would set it right: the shares at the strike, as the line of funds tells them; or the end of the one option of
-- these shares with that strike that is held in this quantity.
WITH ends AS (
    SELECT m.broker, m.account_id, coalesce(m.link_id, m.movement_uid) AS link, min(m.business_date) AS business_date,
           min(m.symbol) AS symbol, min(m.kind) AS kind, min(m.ordered_at) AS ordered_at,
           array_agg(m.movement_uid ORDER BY m.movement_uid) AS uids,
           min(i.strike) AS strike, max(i.strike) AS highest_strike,
           bool_and(coalesce(m.price, 0) <> 0) AS has_price, bool_or(u.asset_class = 'INDEX') AS on_index,
           -- NULL where a term of the contract is not known: then nothing is expected of the shares.
           CASE WHEN bool_and(i.option_right IS NOT NULL AND coalesce(m.multiplier, i.multiplier) IS NOT NULL)
                THEN sum(m.qty * coalesce(m.multiplier, i.multiplier)
                         * CASE i.option_right WHEN 'C' THEN -1 ELSE 1 END) END AS shares
    FROM position_movements m
    LEFT JOIN instruments i ON i.symbol = m.symbol
    LEFT JOIN instruments u ON u.symbol = i.underlying
    WHERE m.business_date BETWEEN %(from_date)s AND %(to_date)s AND m.kind IN ('EXERCISE', 'ASSIGNMENT')
      AND m.asset_class = 'OPTION'
    GROUP BY m.broker, m.account_id, coalesce(m.link_id, m.movement_uid)
), moved AS (
    SELECT e.account_id, e.link, sum(m.qty) AS shares, bool_and(m.price IS NOT DISTINCT FROM e.strike) AS at_strike,
           min(m.price) AS price
    FROM ends e JOIN position_movements m ON m.account_id = e.account_id AND m.link_id = e.link
    WHERE m.kind IN ('EXERCISE', 'ASSIGNMENT') AND m.asset_class <> 'OPTION'
    GROUP BY 1, 2
), alone AS (
    SELECT m.broker, m.account_id, m.link_id AS link, min(m.business_date) AS business_date, min(m.symbol) AS symbol,
           min(m.kind) AS kind, sum(m.qty) AS shares, min(m.price) AS price, min(m.ordered_at) AS ordered_at,
           max(t.report_date) AS report_date
    FROM position_movements m LEFT JOIN trades_norm t ON t.trade_uid = m.movement_uid
    WHERE m.business_date BETWEEN %(from_date)s AND %(to_date)s AND m.kind IN ('EXERCISE', 'ASSIGNMENT')
      AND m.broker = 'IB' AND m.asset_class = 'STOCK' AND m.link_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM position_movements o
                      WHERE o.account_id = m.account_id AND o.link_id = m.link_id
                        AND o.asset_class IN ('OPTION', 'FUTURE_OPTION', 'WARRANT'))
      -- shares of the first known days may come of an option that ended before them
      AND NOT EXISTS (SELECT FROM load_coverage c
                      WHERE c.broker = 'IB' AND c.account_id = m.account_id
                      HAVING min(c.from_date) > m.business_date)
    GROUP BY 1, 2, 3
), unended AS (
    -- options of alone shares that may have delivered them, held when the shares came
    SELECT a.account_id, a.link, i.symbol, i.multiplier, i.ib_conid, i.currency, i.underlying, held.qty
    FROM alone a
    JOIN instruments i ON i.underlying = a.symbol AND i.asset_class = 'OPTION' AND i.strike = a.price
    CROSS JOIN LATERAL (
        SELECT sum(m.qty) AS qty FROM position_movements m
        WHERE m.account_id = a.account_id AND m.instrument_id = i.ib_conid AND m.business_date <= a.business_date
    ) AS held
    WHERE held.qty * i.multiplier * CASE i.option_right WHEN 'C' THEN 1 ELSE -1 END = a.shares
), lines AS (
    -- what the funds tell of shares that we lack
    SELECT e.account_id, e.link, min(l.broker_transaction_id) AS transaction_id, min(l.business_date) AS on_date,
           min(u.symbol) AS symbol, min(u.ib_conid) AS conid, min(l.currency) AS currency,
           min(l.settle_date) AS settle_date
    FROM ends e
    JOIN instruments o ON o.symbol = e.symbol
    JOIN instruments u ON u.symbol = o.underlying
    JOIN broker_funds l ON l.account_id = e.account_id AND l.level = 'Currency' AND l.from_date IS NULL
        AND l.symbol = u.symbol AND l.business_date BETWEEN e.business_date AND e.business_date + 5
        AND abs(abs(l.amount) - abs(e.shares * e.strike)) <= 0.005
    WHERE e.broker = 'IB' AND NOT EXISTS (
        SELECT FROM trades_norm t
        WHERE t.broker = 'IB' AND t.account_id = l.account_id AND t.broker_trade_id = l.broker_transaction_id)
    GROUP BY 1, 2 HAVING count(*) = 1
)
SELECT e.broker, e.account_id, e.link AS subject, e.business_date, trim_scale(e.shares) AS expected,
       trim_scale(coalesce(v.shares, 0)) AS actual, 'ERROR' AS severity,
       CASE WHEN v.link IS NULL THEN 'MISSING_B' ELSE 'LIFECYCLE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', e.symbol, 'strike', e.strike, 'price', v.price, 'rows', to_jsonb(e.uids),
           'set_right', CASE WHEN v.link IS NULL AND l.link IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'trades_norm', 'row', jsonb_build_object(
                   'trade_uid', concat('IB_', e.account_id, '_T', l.transaction_id), 'broker', 'IB',
                   'account_id', e.account_id, 'broker_trade_id', l.transaction_id,
                   'market', split_part(l.symbol, '.', 1), 'symbol', l.symbol, 'underlying', l.symbol,
                   'asset_class', 'STOCK', 'kind', e.kind, 'effective', true,
                   'side', CASE WHEN e.shares > 0 THEN 'BUY' ELSE 'SELL' END, 'qty', trim_scale(abs(e.shares))::text,
                   'price', e.strike::text, 'multiplier', '1', 'amount', trim_scale(abs(e.shares) * e.strike)::text,
                   'currency', l.currency, 'executed_at', e.ordered_at, 'trade_date', e.business_date,
                   'report_date', l.on_date, 'settle_date', l.settle_date, 'instrument_id', l.conid,
                   'link_id', e.link, 'source', 'FLEX'))) END)) AS evidence
FROM ends e LEFT JOIN moved v USING (account_id, link) LEFT JOIN lines l USING (account_id, link)
WHERE CASE WHEN v.link IS NULL THEN NOT (e.has_price OR coalesce(e.on_index, false))
           ELSE e.shares <> v.shares OR (e.strike = e.highest_strike AND NOT v.at_strike) END
UNION ALL
SELECT a.broker, a.account_id, a.link, a.business_date, trim_scale(a.shares), 0, 'ERROR', 'MISSING_B',
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', a.symbol, 'strike', a.price, 'options', u.symbols,
           'rows', (SELECT jsonb_agg(m.movement_uid ORDER BY m.movement_uid) FROM position_movements m
                    WHERE m.account_id = a.account_id AND m.link_id = a.link),
           'set_right', CASE WHEN u.rows = 1 THEN jsonb_build_array(jsonb_build_object(
               'do', 'insert', 'table', 'trades_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_uid', concat('IB_', a.account_id, '_LEND ', u.symbols[1]), 'broker', 'IB',
                   'account_id', a.account_id, 'broker_trade_id', 'LEND ' || u.symbols[1],
                   'market', split_part(a.symbol, '.', 1), 'symbol', u.symbols[1], 'underlying', u.underlying,
                   'asset_class', 'OPTION', 'kind', a.kind, 'effective', true,
                   'side', CASE WHEN u.qty > 0 THEN 'SELL' ELSE 'BUY' END, 'qty', trim_scale(abs(u.qty))::text,
                   'price', '0', 'multiplier', trim_scale(u.multiplier)::text, 'amount', '0', 'currency', u.currency,
                   'executed_at', a.ordered_at, 'trade_date', a.business_date, 'report_date', a.report_date,
                   'position_effect', 'CLOSE',
                   'instrument_id', u.conid, 'link_id', a.link, 'source', 'FLEX')))) END))
FROM alone a LEFT JOIN LATERAL (
    SELECT count(*) AS rows, array_agg(symbol ORDER BY symbol) AS symbols, max(qty) AS qty,
        max(multiplier) AS multiplier,
           max(currency) AS currency, max(underlying) AS underlying, max(ib_conid) AS conid
    FROM unended WHERE account_id = a.account_id AND link = a.link
) AS u ON true
WHERE a.shares <> 0
ORDER BY 1, 2, 3
