-- B11. An execution is known by the ids of its broker, never by its content: two equal fills are two fills. So one of
-- these tells it twice, as long as more than one of the rows counts:
-- * the same id of the broker (IB: transactionID, Futu: deal id) in one account, or with the same content in two
--   accounts: a number alone may be another trade's in another account;
-- * IB: execution ids that differ in their last part only, which counts revisions; Futu: the same fillIDEx;
-- * IB: the same tradeID and contract: a rebook repeats the id of what it replaces, and the cancel of that is missing;
-- * a raw row of IB that was refused because it repeats the execution id of a trade that counts.
-- The row too many is the one that nothing else of its account tells (its raw record; IB: a line of the statement of
-- funds, Futu: its order), the provisional one, or the older one. Not told here: what a cancel takes back that names
-- its trade wrongly, which is the matter of B12.
-- A trade belongs to another account where only that one's raw record tells it, where Futu told its order there only,
-- or where IB's line of funds about it stands there, although the funds of its own account are told.
WITH repeated AS (
    SELECT 'id' AS found_by, NULL AS broker, NULL AS account_id, broker_trade_id AS id
    FROM trades_norm WHERE effective AND source IN ('FLEX', 'futu_deals') GROUP BY broker_trade_id HAVING count(*) > 1
    UNION ALL
    SELECT 'execution', broker, account_id, execution
    FROM (
        SELECT broker, account_id,
               CASE WHEN broker = 'IB' AND exec_id LIKE '%%.%%' THEN left(exec_id, -strpos(reverse(exec_id), '.'))
                    ELSE exec_id END AS execution
        FROM trades_norm WHERE effective AND exec_id IS NOT NULL
    ) AS executed
    GROUP BY broker, account_id, execution HAVING count(*) > 1
    UNION ALL
    SELECT 'tradeID', 'IB', account_id, unnest(keys)
    FROM (
        SELECT account_id, array_agg(record_key) AS keys
        FROM fees_raw_ib WHERE btrim(payload ->> 'tradeID') <> ''
        GROUP BY account_id, btrim(payload ->> 'tradeID') HAVING count(*) > 1
    ) AS charged
), member AS (
    SELECT r.found_by, t.*, concat_ws(' ', t.broker, r.id, t.symbol, t.side, trim_scale(t.qty), trim_scale(t.price),
                                      t.executed_at) AS name
    FROM repeated r JOIN trades_norm t ON t.broker_trade_id = r.id
    WHERE r.found_by = 'id' AND t.effective AND t.source IN ('FLEX', 'futu_deals')
    UNION ALL
    SELECT r.found_by, t.*, concat_ws(' ', t.broker, t.account_id, t.broker_trade_id)
    FROM repeated r JOIN trades_norm t ON t.broker_trade_id = r.id
    WHERE r.found_by = 'id' AND t.effective AND t.source IN ('FLEX', 'futu_deals')
    UNION ALL
    SELECT r.found_by, t.*, concat_ws(' ', r.broker, r.account_id, r.id)
    FROM repeated r JOIN trades_norm t ON t.broker = r.broker AND t.account_id = r.account_id
        AND (t.exec_id = r.id OR t.broker = 'IB' AND left(t.exec_id, length(r.id) + 1) = r.id || '.'
                                 AND strpos(substr(t.exec_id, length(r.id) + 2), '.') = 0)
    WHERE r.found_by = 'execution' AND t.effective
    UNION ALL
    SELECT r.found_by, t.*, concat_ws(' ', r.account_id, btrim(f.payload ->> 'tradeID'), t.instrument_id)
    FROM repeated r
    JOIN fees_raw_ib f ON f.account_id = r.account_id AND f.record_key = r.id
    JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = r.account_id AND t.broker_trade_id = r.id
    WHERE r.found_by = 'tradeID' AND t.effective AND t.kind = 'TRADE'
), ranked AS (
    -- the last row of a group stands, the others are too many
    SELECT m.*, count(*) OVER members AS rows,
           row_number() OVER (members ORDER BY backed.up, m.source IN ('TWS', 'TCF') DESC, backed.is_named,
                              length(m.broker_trade_id), m.broker_trade_id, m.account_id DESC, m.trade_uid) AS place,
           min(backed.up) OVER members < max(backed.up) OVER members AS is_proven,
           min(m.account_id) OVER members < max(m.account_id) OVER members AS is_elsewhere
    FROM member m
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.broker = 'IB' THEN
                   2 * EXISTS (SELECT FROM trades_raw_ib r
                               WHERE r.account_id = m.account_id AND r.record_key = m.broker_trade_id)::int
                   + EXISTS (SELECT FROM broker_funds l
                             WHERE l.account_id = m.account_id AND l.broker_transaction_id = m.broker_trade_id
                               AND l.business_date BETWEEN m.trade_date - 7 AND m.trade_date + 7)::int
               ELSE
                   2 * EXISTS (SELECT FROM trades_raw_futu r
                               WHERE r.account_id = m.account_id AND r.record_key = m.broker_trade_id)::int
                   + EXISTS (SELECT FROM orders_norm o
                             WHERE o.order_uid = m.order_uid AND o.source = 'futu_orders')::int
               END AS up,
               m.trade_uid IN (concat_ws('_', m.broker, m.account_id, coalesce(m.exec_id, 'T' || m.broker_trade_id)),
                               concat_ws('_', m.broker, m.account_id, m.broker_trade_id)) AS is_named
    ) AS backed
    WINDOW members AS (PARTITION BY m.found_by, m.name)
), surplus AS MATERIALIZED (
    SELECT DISTINCT ON (r.trade_uid) r.*, s.trade_uid AS standing_uid, s.account_id AS standing_account,
           s.source AS standing_source, s.qty AS standing_qty, s.price AS standing_price,
           s.broker_trade_id AS standing_id, s.exec_id AS standing_exec_id,
           r.broker = 'IB' AND r.account_id = s.account_id AND r.broker_trade_id <> s.broker_trade_id AS is_rebooked
    FROM ranked r JOIN ranked s ON s.found_by = r.found_by AND s.name = r.name AND s.place = s.rows
    WHERE r.place < r.rows AND r.trade_date BETWEEN %(from_date)s AND %(to_date)s
      AND NOT EXISTS (
          -- a cancel of just this much that names a trade nobody told
          SELECT FROM trades_norm c
          JOIN trades_raw_ib w ON w.account_id = c.account_id AND w.record_key = c.broker_trade_id
          WHERE r.broker = 'IB' AND c.broker = 'IB' AND c.account_id = r.account_id AND c.kind = 'CANCEL'
            AND c.trade_date BETWEEN r.trade_date AND r.trade_date + 31 AND c.instrument_id = r.instrument_id
            AND c.qty = r.qty AND c.side <> r.side
            AND NOT EXISTS (SELECT FROM trades_raw_ib o
                            WHERE o.account_id = c.account_id
                              AND o.record_key = btrim(w.payload ->> 'origTransactionID'))
            AND NOT EXISTS (SELECT FROM trades_raw_ib o
                            WHERE o.account_id = c.account_id
                              AND btrim(o.payload ->> 'tradeID') = nullif(btrim(w.payload ->> 'origTradeID'), '')))
    ORDER BY r.trade_uid, r.found_by DESC
), misplaced AS (
    SELECT t.*, 'the raw record' AS told_by, 'trades_raw_ib/' || r.account_id || '/' || r.record_key AS name,
           r.account_id AS owner, NULL AS order_of_owner
    FROM trades_norm t
    JOIN trades_raw_ib r ON r.record_key = t.broker_trade_id AND r.account_id <> t.account_id
                        AND r.business_date = t.trade_date
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source = 'FLEX'
      AND t.trade_uid NOT IN (SELECT trade_uid FROM surplus)
      AND NOT EXISTS (SELECT FROM trades_raw_ib o
                      WHERE o.account_id = t.account_id AND o.record_key = t.broker_trade_id)
      AND NOT EXISTS (SELECT FROM broker_funds o
                      WHERE o.account_id = t.account_id AND o.broker_transaction_id = t.broker_trade_id
                        AND o.business_date BETWEEN t.trade_date - 7 AND t.trade_date + 7)
    UNION ALL
    SELECT t.*, 'the raw record', 'trades_raw_futu/' || r.account_id || '/' || r.record_key, r.account_id, NULL
    FROM trades_norm t
    JOIN trades_raw_futu r ON r.record_key = t.broker_trade_id AND r.account_id <> t.account_id
                          AND r.business_date = t.trade_date
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source = 'futu_deals'
      AND t.trade_uid NOT IN (SELECT trade_uid FROM surplus)
      AND NOT EXISTS (SELECT FROM trades_raw_futu o
                      WHERE o.account_id = t.account_id AND o.record_key = t.broker_trade_id)
      AND NOT EXISTS (SELECT FROM orders_norm o
                      WHERE o.order_uid = t.order_uid AND o.account_id = t.account_id AND o.source = 'futu_orders')
    UNION ALL
    SELECT t.*, 'the order', o.order_uid, o.account_id, o.order_uid
    FROM orders_norm rebuilt
    JOIN orders_norm o ON o.broker = 'FUTU' AND o.broker_order_id = rebuilt.broker_order_id
                      AND o.account_id <> rebuilt.account_id AND o.source = 'futu_orders'
    JOIN trades_norm t ON t.order_uid = rebuilt.order_uid
    WHERE rebuilt.broker = 'FUTU' AND rebuilt.source = 'futu_deals'
      AND t.trade_date BETWEEN %(from_date)s AND %(to_date)s
      AND NOT EXISTS (SELECT FROM trades_norm d
                      WHERE d.broker = 'FUTU' AND d.account_id = o.account_id AND d.broker_trade_id = t.broker_trade_id)
    UNION ALL
    SELECT t.*, 'the line of funds', 'broker_funds/' || l.line_uid, l.account_id, NULL
    FROM broker_funds l
    JOIN trades_norm t ON t.broker = 'IB' AND t.broker_trade_id = l.broker_transaction_id
                      AND t.account_id <> l.account_id AND t.symbol = l.symbol
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source = 'FLEX' AND l.level = 'Currency'
      AND l.business_date BETWEEN %(from_date)s::date - 7 AND %(to_date)s::date + 7
      AND NOT EXISTS (SELECT FROM broker_funds o
                      WHERE o.account_id = t.account_id AND o.broker_transaction_id = t.broker_trade_id
                        AND o.business_date BETWEEN t.trade_date - 7 AND t.trade_date + 7)
      AND NOT EXISTS (SELECT FROM trades_norm d
                      WHERE d.broker = 'IB' AND d.account_id = l.account_id AND d.broker_trade_id = t.broker_trade_id)
      AND EXISTS (SELECT FROM broker_funds o
                  WHERE o.account_id = t.account_id
                    AND o.business_date BETWEEN t.trade_date - 7 AND t.trade_date + 7)
), owned AS MATERIALIZED (
    SELECT DISTINCT ON (trade_uid) * FROM misplaced ORDER BY trade_uid, told_by DESC
), refused AS (
    SELECT q.quarantine_uid, q.account_id, q.broker_key, q.business_date, q.reason, q.payload, t.trade_uid, t.symbol,
           t.broker_trade_id, t.qty, t.price,
           trim_scale(t.qty)::text = trim(LEADING '-+' FROM btrim(q.payload ->> 'quantity'))
               AND trim_scale(t.price)::text = btrim(q.payload ->> 'tradePrice') AS is_equal
    FROM quarantine q
    JOIN trades_norm t ON t.trade_uid = concat_ws('_', 'IB', q.account_id, btrim(q.payload ->> 'ibExecID'))
    WHERE q.broker = 'IB' AND q.kind = 'trades' AND q.reason_code = 'same_execution' AND q.resolved_at IS NULL
      AND q.business_date BETWEEN %(from_date)s AND %(to_date)s
      -- what is left of it in the ledger is what it was charged
      AND (btrim(q.payload ->> 'ibCommission') !~ '[1-9]' OR EXISTS (
          SELECT FROM fees_norm f
          WHERE f.fee_uid > concat_ws('_', 'IB', q.account_id, q.broker_key, '')
            AND f.fee_uid < concat_ws('_', 'IB', q.account_id, q.broker_key, '~')))
), cancelled AS (
    -- the line of funds with which IB took back what has no cancel: its transaction is no trade of ours
    SELECT DISTINCT ON (s.trade_uid) s.trade_uid, l.line_uid, l.broker_transaction_id, l.business_date, l.amount,
           l.currency
    FROM surplus s
    JOIN broker_trade_figures f USING (trade_uid)
    JOIN broker_funds l ON l.account_id = s.account_id AND l.level = 'Currency' AND l.currency = s.currency
        AND l.symbol = s.symbol AND abs(l.amount + f.proceeds) <= 0.005 AND l.from_date IS NULL
        AND l.business_date BETWEEN s.trade_date AND s.trade_date + 31
    WHERE s.is_rebooked AND s.asset_class <> 'FX' AND NOT EXISTS (
        SELECT FROM trades_norm t
        WHERE t.broker = 'IB' AND t.account_id = l.account_id AND t.broker_trade_id = l.broker_transaction_id)
    ORDER BY s.trade_uid, l.business_date, l.line_uid
), changes AS (
    -- What was rebooked counts no more, and its fees are its rebook's; where IB's funds tell its cancel that is here.
    -- Any other row too many goes.
    SELECT s.trade_uid, 1 AS place, CASE WHEN s.is_rebooked THEN
               jsonb_build_object('do', 'update', 'table', 'trades_norm',
                                  'key', jsonb_build_object('trade_uid', s.trade_uid),
                                  'row', jsonb_build_object('effective', false))
           ELSE jsonb_build_object('do', 'delete', 'table', 'trades_norm',
                                   'key', jsonb_build_object('trade_uid', s.trade_uid)) END AS one
    FROM surplus s
    UNION ALL
    SELECT s.trade_uid, 2, jsonb_build_object('do', 'insert', 'table', 'trades_norm', 'row', made.row)
    FROM cancelled c
    JOIN surplus s USING (trade_uid)
    JOIN trades_norm t USING (trade_uid)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(name, CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(value #>> '{}')
                                                               ELSE value END)
               || jsonb_build_object(
                      'trade_uid', concat('IB_', s.account_id, '_T', c.broker_transaction_id),
                      'broker_trade_id', c.broker_transaction_id, 'kind', 'CANCEL', 'effective', false,
                      'side', CASE s.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END, 'trade_date', c.business_date,
                      'report_date', c.business_date) AS row
        FROM jsonb_each(jsonb_strip_nulls(to_jsonb(t) - 'exec_id')) AS field (name, value)
    ) AS made
    UNION ALL
    SELECT s.trade_uid, 3, jsonb_build_object(
        'do', 'insert', 'table', 'broker_trade_figures', 'row', jsonb_build_object(
            'trade_uid', concat('IB_', s.account_id, '_T', c.broker_transaction_id), 'broker', 'IB',
            'account_id', s.account_id, 'business_date', c.business_date, 'symbol', s.symbol,
            'proceeds', c.amount::text, 'currency', c.currency, 'source', 'FLEX'))
    FROM cancelled c JOIN surplus s USING (trade_uid)
    UNION ALL
    SELECT s.trade_uid, 4, CASE WHEN charged.too THEN
               jsonb_build_object('do', 'delete', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', f.fee_uid))
           ELSE jsonb_build_object('do', 'insert', 'table', 'fee_allocations', 'row', jsonb_build_object(
               'fee_uid', f.fee_uid, 'trade_uid', s.standing_uid, 'broker', 'IB', 'account_id', s.account_id,
               'amount', f.amount::text)) END
    FROM surplus s
    JOIN fees_norm f ON f.fee_uid > concat_ws('_', 'IB', s.account_id, s.broker_trade_id, '')
                    AND f.fee_uid < concat_ws('_', 'IB', s.account_id, s.broker_trade_id, '~')
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM fees_norm o
                       WHERE o.fee_uid > concat_ws('_', 'IB', s.standing_account, s.standing_id, '')
                         AND o.fee_uid < concat_ws('_', 'IB', s.standing_account, s.standing_id, '~')
                         AND o.amount <> 0) AS too
    ) AS charged
    WHERE s.broker = 'IB' AND (s.account_id, s.broker_trade_id) <> (s.standing_account, s.standing_id)
      AND (charged.too OR f.amount <> 0) AND (s.is_rebooked OR charged.too)
      AND NOT EXISTS (SELECT FROM fee_allocations a WHERE a.fee_uid = f.fee_uid AND a.trade_uid = s.standing_uid)
    UNION ALL
    SELECT s.trade_uid, 3, jsonb_build_object(
        'do', 'delete', 'table', 'fee_allocations',
        'key', jsonb_build_object('fee_uid', a.fee_uid, 'trade_uid', a.trade_uid))
    FROM surplus s JOIN fee_allocations a USING (trade_uid)
    WHERE s.broker = 'IB' AND (s.account_id, s.broker_trade_id) <> (s.standing_account, s.standing_id)
    UNION ALL
    SELECT s.trade_uid, 5, jsonb_build_object('do', 'delete', 'table', 'cash_movements',
                                              'key', jsonb_build_object('cash_uid', c.cash_uid))
    FROM surplus s
    JOIN cash_movements c ON c.cash_uid IN (concat('IB_', s.account_id, '_T', s.broker_trade_id, '_BASE'),
                                            concat('IB_', s.account_id, '_T', s.broker_trade_id, '_QUOTE'))
    WHERE s.broker = 'IB' AND s.asset_class = 'FX' AND s.broker_trade_id <> s.standing_id
    UNION ALL
    SELECT m.trade_uid, 1, jsonb_build_object(
        'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', m.trade_uid),
        'row', jsonb_strip_nulls(jsonb_build_object('account_id', m.owner, 'order_uid', m.order_of_owner,
                                                    'trade_date', m.trade_date)))
    FROM owned m
    UNION ALL
    SELECT m.trade_uid, 2, jsonb_build_object(
        'do', 'update', 'table', 'broker_trade_figures', 'key', jsonb_build_object('trade_uid', m.trade_uid),
        'row', jsonb_build_object('account_id', m.owner))
    FROM owned m WHERE m.broker = 'IB'
    UNION ALL
    SELECT m.trade_uid, 3, jsonb_build_object(
        'do', 'update', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', f.fee_uid),
        'row', jsonb_build_object('account_id', m.owner))
    FROM owned m
    JOIN fees_norm f ON f.fee_uid > concat_ws('_', 'IB', m.account_id, m.broker_trade_id, '')
                    AND f.fee_uid < concat_ws('_', 'IB', m.account_id, m.broker_trade_id, '~')
    WHERE m.broker = 'IB'
    UNION ALL
    -- without its trades the order that was rebuilt from them is gone
    SELECT m.trade_uid, 4, jsonb_build_object('do', 'delete', 'table', 'orders_norm',
                                              'key', jsonb_build_object('order_uid', m.order_uid))
    FROM owned m
    WHERE m.order_of_owner IS NOT NULL
      AND m.trade_uid = (SELECT min(o.trade_uid) FROM owned o WHERE o.order_uid = m.order_uid)
      AND NOT EXISTS (SELECT FROM trades_norm t
                      WHERE t.order_uid = m.order_uid AND t.trade_uid NOT IN (SELECT trade_uid FROM owned))
    UNION ALL
    SELECT r.quarantine_uid, 1, jsonb_build_object('do', 'delete', 'table', 'fees_norm',
                                                   'key', jsonb_build_object('fee_uid', f.fee_uid))
    FROM refused r
    JOIN fees_norm f ON f.fee_uid > concat_ws('_', 'IB', r.account_id, r.broker_key, '')
                    AND f.fee_uid < concat_ws('_', 'IB', r.account_id, r.broker_key, '~')
), repairs AS (
    SELECT trade_uid, jsonb_agg(one ORDER BY place, one::text) AS rows FROM changes GROUP BY 1
)
SELECT s.broker, s.account_id, s.trade_uid AS subject, s.trade_date AS business_date, 1::numeric AS expected,
       s.rows::numeric AS actual, 'ERROR' AS severity,
       CASE WHEN (s.qty, s.price) = (s.standing_qty, s.standing_price) THEN 'DUPLICATE' ELSE 'CORRECTION' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', s.symbol, 'side', s.side, 'qty', trim_scale(s.qty)::text, 'price', trim_scale(s.price)::text,
           'same', s.found_by, 'broker_trade_id', s.broker_trade_id, 'exec_id', s.exec_id,
           'executed_at', s.executed_at,
           'other', jsonb_build_object(
               'trade_uid', s.standing_uid, 'account_id', s.standing_account, 'source', s.standing_source,
               'broker_trade_id', s.standing_id, 'exec_id', s.standing_exec_id,
               'qty', trim_scale(s.standing_qty)::text, 'price', trim_scale(s.standing_price)::text),
           'taken_back_by_transaction', c.broker_transaction_id,
           'rows', to_jsonb(array_remove(ARRAY[s.trade_uid, s.standing_uid, 'broker_funds/' || c.line_uid], NULL)),
           'set_right', CASE WHEN s.is_proven OR NOT s.is_elsewhere THEN p.rows END)) AS evidence
FROM surplus s
LEFT JOIN repairs p USING (trade_uid)
LEFT JOIN cancelled c USING (trade_uid)
UNION ALL
SELECT m.broker, m.account_id, m.trade_uid, m.trade_date, 1, 0, 'ERROR',
       CASE m.told_by WHEN 'the raw record' THEN 'PIPELINE' ELSE 'REFERENCE_DATA' END,
       jsonb_build_object(
           'symbol', m.symbol, 'side', m.side, 'qty', trim_scale(m.qty)::text, 'price', trim_scale(m.price)::text,
           'broker_trade_id', m.broker_trade_id, 'account_id', m.account_id, 'belongs_to', m.owner,
           'because_of', m.told_by, 'rows', jsonb_build_array(m.trade_uid, m.name), 'set_right', p.rows)
FROM owned m LEFT JOIN repairs p USING (trade_uid)
UNION ALL
SELECT 'IB', r.account_id, concat('IB_', r.account_id, '_T', r.broker_key), r.business_date, 1, 2, 'ERROR',
       CASE WHEN r.is_equal THEN 'DUPLICATE' ELSE 'CORRECTION' END,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', r.symbol, 'side', r.payload ->> 'buySell', 'qty', r.payload ->> 'quantity',
           'price', r.payload ->> 'tradePrice', 'same', 'execution', 'broker_trade_id', r.broker_key,
           'exec_id', r.payload ->> 'ibExecID', 'refused', r.reason,
           'other', jsonb_build_object(
               'trade_uid', r.trade_uid, 'account_id', r.account_id, 'broker_trade_id', r.broker_trade_id,
               'qty', trim_scale(r.qty)::text, 'price', trim_scale(r.price)::text),
           'rows', jsonb_build_array(concat_ws('/', 'trades_raw_ib', r.account_id, r.broker_key), r.trade_uid),
           'set_right', p.rows))
FROM refused r LEFT JOIN repairs p ON p.trade_uid = r.quarantine_uid
ORDER BY 3
