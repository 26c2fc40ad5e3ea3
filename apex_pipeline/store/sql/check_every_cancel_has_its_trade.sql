-- B12. IB: a row that takes a trade back (TradeCancel, TradeCorrect) names it by transactionID, in older statements by
-- tradeID. It takes back exactly one earlier trade of the same account and contract, no other row takes the same one
-- back, the quantities of a cancel and its trade sum to 0 exactly, and what was taken back does not count, nor does the
-- cancel; a TradeCorrect counts in its place. A trade before the history cannot be found: that is a warning where IB
-- dates it so, or does not date it and the history begins within a month of the cancel.
-- And nothing is left out of the ledger that no row takes back, unless a rebook stands in its place (B11 tells that).
-- Futu: a deal that its own record calls cancelled (1) or paid out (3) does not count, a changed one (2) not beside
-- others that are all of what its order says is filled, and every plain one (0) does.
-- A cancel that names no known trade: the only earlier trade of its contract, quantity and price is what it means; else
-- the original is as the funds tell it; and where the funds of its days tell neither of them, the cancel is nothing.
WITH reversing AS (
    SELECT account_id, broker_trade_id AS record_key FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND kind = 'CANCEL' AND source = 'FLEX'
    UNION
    SELECT account_id, record_key FROM trades_raw_ib
    WHERE (btrim(payload ->> 'origTransactionID') > '0' OR btrim(payload ->> 'origTradeID') > '0')
      AND payload ->> 'transactionType' = 'TradeCorrect' AND business_date BETWEEN %(from_date)s AND %(to_date)s
), taking AS MATERIALIZED (
    SELECT r.record_key, t.*, CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS signed,
           nullif(nullif(btrim(r.payload ->> 'origTransactionID'), ''), '0') AS original_id,
           nullif(nullif(btrim(r.payload ->> 'origTradeID'), ''), '0') AS original_trade_id,
           btrim(r.payload ->> 'origTradeDate') AS dated
    FROM reversing
    JOIN trades_raw_ib r USING (account_id, record_key)
    JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = r.account_id AND t.broker_trade_id = r.record_key
                      AND t.source = 'FLEX'
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s
), history AS (
    SELECT account_id, min(from_date) AS begins FROM load_coverage WHERE broker = 'IB' GROUP BY 1
), paired AS (
    SELECT c.*, o.trade_uid AS original_uid, o.record_key AS original_key, o.effective AS original_effective,
           o.signed AS original_signed, o.symbol AS original_symbol, o.trade_date AS original_date,
           coalesce(o.same_contract, true) AS same_contract, coalesce(o.is_earlier, true) AS is_earlier, h.begins,
           substring(regexp_replace(c.dated, '^(\d{4})(\d\d)(\d\d)$', '\1-\2-\3')
                     FROM '^\d{4}-\d\d-\d\d') AS original_day
    FROM taking c
    LEFT JOIN history h USING (account_id)
    LEFT JOIN LATERAL (
        -- of several rows of one tradeID the earlier one that was taken back, of the same size, the newest
        SELECT t.trade_uid, f.record_key, t.effective, t.symbol, t.trade_date,
               CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS signed,
               coalesce(t.instrument_id, t.symbol) = coalesce(c.instrument_id, c.symbol) AS same_contract,
               f.record_key !~ '^\d+$' OR c.record_key !~ '^\d+$'
                   OR (length(f.record_key), f.record_key) < (length(c.record_key), c.record_key) AS is_earlier
        FROM (
            SELECT c.original_id AS record_key WHERE c.original_id IS NOT NULL
            UNION
            SELECT record_key FROM trades_raw_ib
            WHERE c.original_id IS NULL AND account_id = c.account_id
              AND btrim(payload ->> 'tradeID') = c.original_trade_id
              AND (length(record_key), record_key) < (length(c.record_key), c.record_key)
            UNION
            SELECT broker_transaction_id FROM broker_funds
            WHERE c.original_id IS NULL AND account_id = c.account_id AND broker_trade_id = c.original_trade_id
              AND business_date BETWEEN c.trade_date - 31 AND c.trade_date
              AND (length(broker_transaction_id), broker_transaction_id) < (length(c.record_key), c.record_key)
        ) AS f
        JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = c.account_id AND t.broker_trade_id = f.record_key
                          AND t.kind <> 'CANCEL'
        ORDER BY t.effective, t.qty = c.qty DESC, length(f.record_key) DESC, f.record_key DESC
        LIMIT 1
    ) AS o ON true
), alike AS MATERIALIZED (
    -- trades that a cancel without an original may mean: what it takes back, told under another id
    SELECT p.trade_uid AS cancel_uid, count(*) FILTER (WHERE t.effective) AS standing,
           count(*) FILTER (WHERE NOT t.effective) AS gone, min(t.trade_uid) FILTER (WHERE t.effective) AS original_uid,
           min(t.trade_date) FILTER (WHERE t.effective) AS original_date
    FROM paired p
    JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = p.account_id AND t.kind <> 'CANCEL'
        AND t.trade_date BETWEEN p.trade_date - 31 AND p.trade_date AND t.symbol = p.symbol AND t.qty = p.qty
        AND t.price = p.price AND t.side <> p.side AND t.source = 'FLEX'
        AND (length(t.broker_trade_id), t.broker_trade_id) < (length(p.record_key), p.record_key)
    WHERE p.original_uid IS NULL AND p.kind = 'CANCEL'
      AND (t.effective OR NOT EXISTS (
          SELECT FROM trades_raw_ib c
          WHERE c.account_id = t.account_id AND btrim(c.payload ->> 'origTransactionID') = t.broker_trade_id))
    GROUP BY 1
), judged AS MATERIALIZED (
    SELECT p.*, twice.rows AS takers, a.standing, a.original_uid AS meant_uid, a.original_date AS meant_date,
           CASE
               WHEN p.original_uid IS NULL AND (
                       a.gone = 1 AND a.standing = 0
                       OR EXISTS (SELECT FROM trades_raw_ib r
                                  WHERE r.account_id = p.account_id AND r.record_key = p.original_id)) THEN NULL
               WHEN p.original_uid IS NULL THEN 'no such trade'
               WHEN NOT p.same_contract THEN 'another contract'
               WHEN NOT p.is_earlier THEN 'a later trade'
               WHEN p.kind = 'CANCEL' AND p.original_signed + p.signed <> 0 THEN 'another quantity'
               WHEN p.original_effective THEN 'the trade counts'
               WHEN p.effective AND p.kind = 'CANCEL' THEN 'the cancel counts'
               WHEN twice.rows > twice.trades AND p.record_key = twice.newest THEN 'taken back twice'
           END AS what
    FROM paired p
    LEFT JOIN alike a ON a.cancel_uid = p.trade_uid
    LEFT JOIN LATERAL (
        -- rows that take back what this one does, and how much there is to take back
        SELECT count(*) AS rows, 1 AS trades,
               (array_agg(r.record_key ORDER BY length(r.record_key) DESC, r.record_key DESC))[1] AS newest
        FROM trades_raw_ib r
        WHERE p.original_id IS NOT NULL AND r.account_id = p.account_id
          AND btrim(r.payload ->> 'origTransactionID') = p.original_id
        HAVING count(*) > 0
        UNION ALL
        SELECT count(*), (SELECT count(*) FROM trades_raw_ib o
                          WHERE o.account_id = p.account_id AND btrim(o.payload ->> 'tradeID') = p.original_trade_id),
               (array_agg(r.record_key ORDER BY length(r.record_key) DESC, r.record_key DESC))[1]
        FROM trades_raw_ib r
        WHERE p.original_id IS NULL AND r.account_id = p.account_id
          AND btrim(r.payload ->> 'origTradeID') = p.original_trade_id
        HAVING count(*) > 0
    ) AS twice ON true
), funded AS MATERIALIZED (
    -- what the funds say of a cancel without an original, and of that original
    SELECT j.trade_uid, l.broker_transaction_id, l.business_date, l.line_uid, -f.proceeds AS proceeds,
           -f.proceeds - l.amount AS fee,
           EXISTS (SELECT FROM broker_funds o
                   WHERE o.account_id = j.account_id AND o.broker_transaction_id = j.record_key
                     AND o.business_date BETWEEN j.trade_date - 7 AND j.trade_date + 7) AS tells_cancel,
           EXISTS (SELECT FROM broker_funds o
                   WHERE o.account_id = j.account_id
                     AND o.business_date BETWEEN j.trade_date - 7 AND j.trade_date + 7) AS tells_days
    FROM judged j
    LEFT JOIN broker_trade_figures f ON f.trade_uid = j.trade_uid
    LEFT JOIN LATERAL (
        SELECT o.* FROM broker_funds o
        WHERE o.account_id = j.account_id AND o.level = 'Currency' AND o.currency = j.currency AND o.from_date IS NULL
          AND o.business_date BETWEEN j.trade_date - 31 AND j.trade_date
          AND (o.broker_transaction_id = j.original_id
               OR j.original_id IS NULL AND o.broker_trade_id = j.original_trade_id
                  AND NOT EXISTS (SELECT FROM trades_norm t
                                  WHERE t.broker = 'IB' AND t.account_id = o.account_id
                                    AND t.broker_trade_id = o.broker_transaction_id))
        ORDER BY o.business_date, o.line_uid LIMIT 1
    ) AS l ON true
    WHERE j.what = 'no such trade' AND j.kind = 'CANCEL'
), dropped AS (
    -- does not count, and nothing takes it back
    SELECT t.*, CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS signed
    FROM trades_norm t JOIN trades_raw_ib r ON r.account_id = t.account_id AND r.record_key = t.broker_trade_id
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.broker = 'IB' AND t.source = 'FLEX'
      AND NOT t.effective AND t.kind <> 'CANCEL'
      AND NOT EXISTS (SELECT FROM trades_raw_ib c
                      WHERE c.account_id = t.account_id
                        AND btrim(c.payload ->> 'origTransactionID') = t.broker_trade_id)
      AND NOT EXISTS (SELECT FROM trades_raw_ib c
                      WHERE c.account_id = t.account_id
                        AND btrim(c.payload ->> 'origTradeID') = nullif(btrim(r.payload ->> 'tradeID'), ''))
      AND NOT EXISTS (SELECT FROM trades_raw_ib c
                      WHERE c.account_id = t.account_id AND c.record_key <> t.broker_trade_id
                        AND btrim(c.payload ->> 'tradeID') = nullif(btrim(r.payload ->> 'tradeID'), ''))
      AND NOT EXISTS (SELECT FROM judged j
                      WHERE j.account_id = t.account_id AND j.original_uid IS NULL AND j.symbol = t.symbol
                        AND j.qty = t.qty AND j.side <> t.side)
), special AS (
    SELECT account_id, record_key FROM trades_raw_futu
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND payload ->> 'status' <> '0'
    UNION
    SELECT account_id, broker_trade_id FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s AND source = 'futu_deals' AND NOT effective
), deals AS (
    SELECT t.*, CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END AS signed,
           coalesce(d.payload ->> 'status', '0') AS status
    FROM special
    JOIN trades_raw_futu d USING (account_id, record_key)
    JOIN trades_norm t ON t.broker = 'FUTU' AND t.account_id = d.account_id AND t.broker_trade_id = d.record_key
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source = 'futu_deals'
), miscounted AS (
    SELECT d.*, CASE WHEN d.status = '2' THEN 'a changed deal counts beside the whole order'
                     WHEN d.effective THEN 'a deal that was taken back counts' ELSE 'a deal does not count' END AS what
    FROM deals d
    WHERE d.status IN ('1', '3') AND d.effective OR d.status = '0' AND NOT d.effective
       OR d.status = '2' AND d.effective AND EXISTS (
           SELECT FROM orders_norm o
           WHERE o.order_uid = d.order_uid AND o.source = 'futu_orders' AND o.legs IS NULL AND o.symbol = d.symbol
             AND o.filled_qty <= (SELECT sum(s.qty) FROM trades_norm s
                                  WHERE s.order_uid = d.order_uid AND s.effective AND s.trade_uid <> d.trade_uid))
), rebooked AS (
    -- the trade that stands in the place of an original that its cancel does not name, and that bears its fees
    SELECT j.trade_uid, min(s.trade_uid) AS standing_uid
    FROM judged j
    LEFT JOIN trades_norm m ON m.trade_uid = j.meant_uid
    LEFT JOIN trades_raw_ib o ON o.account_id = m.account_id AND o.record_key = m.broker_trade_id
    JOIN trades_raw_ib r ON r.account_id = j.account_id
        AND btrim(r.payload ->> 'tradeID') = nullif(btrim(coalesce(o.payload ->> 'tradeID', j.original_trade_id)), '')
    JOIN trades_norm s ON s.broker = 'IB' AND s.account_id = r.account_id AND s.broker_trade_id = r.record_key
        AND s.effective AND s.kind = 'TRADE' AND s.symbol = j.symbol AND s.trade_uid IS DISTINCT FROM j.meant_uid
    WHERE j.what = 'no such trade' AND j.kind = 'CANCEL'
    GROUP BY 1
), changes AS (
    SELECT j.trade_uid, 1 AS place, jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', of.uid),
               'row', jsonb_build_object('effective', false, 'trade_date', of.on_date)) AS one
    FROM judged j
    CROSS JOIN LATERAL (
        SELECT CASE what WHEN 'the trade counts' THEN j.original_uid WHEN 'no such trade' THEN j.meant_uid
                         ELSE j.trade_uid END AS uid,
               CASE what WHEN 'the trade counts' THEN j.original_date WHEN 'no such trade' THEN j.meant_date
                         ELSE j.trade_date END AS on_date
    ) AS of
    WHERE what IN ('the trade counts', 'the cancel counts') OR what = 'no such trade' AND j.standing = 1
    UNION ALL
    -- the original, as its cancel mirrors it
    SELECT j.trade_uid, 2, jsonb_build_object('do', 'insert', 'table', 'trades_norm', 'row', made.row)
    FROM judged j
    JOIN funded f USING (trade_uid)
    JOIN trades_norm t USING (trade_uid)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(name, CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(value #>> '{}')
                                                               ELSE value END)
               || jsonb_build_object(
                      'trade_uid', concat('IB_', j.account_id, '_T', f.broker_transaction_id),
                      'broker_trade_id', f.broker_transaction_id, 'kind', 'TRADE', 'effective', false,
                      'side', CASE j.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END, 'trade_date', f.business_date,
                      'report_date', f.business_date) AS row
        FROM jsonb_each(jsonb_strip_nulls(to_jsonb(t) - 'exec_id')) AS field (name, value)
    ) AS made
    WHERE f.broker_transaction_id IS NOT NULL AND f.proceeds IS NOT NULL AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT j.trade_uid, 3, jsonb_build_object(
        'do', 'insert', 'table', 'broker_trade_figures', 'row', jsonb_build_object(
            'trade_uid', concat('IB_', j.account_id, '_T', f.broker_transaction_id), 'broker', 'IB',
            'account_id', j.account_id, 'business_date', f.business_date, 'symbol', j.symbol,
            'proceeds', f.proceeds::text, 'currency', j.currency, 'source', 'FLEX'))
    FROM judged j JOIN funded f USING (trade_uid)
    WHERE f.broker_transaction_id IS NOT NULL AND f.proceeds IS NOT NULL AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT j.trade_uid, 4, jsonb_build_object(
        'do', 'insert', 'table', 'fees_norm', 'row', jsonb_build_object(
            'fee_uid', concat_ws('_', 'IB', j.account_id, f.broker_transaction_id, 'COMMISSION'),
            'trade_uid', concat('IB_', j.account_id, '_T', f.broker_transaction_id), 'broker', 'IB',
            'account_id', j.account_id, 'fee_type', 'COMMISSION', 'broker_fee_name', 'ibCommission',
            'amount', trim_scale(f.fee)::text, 'currency', j.currency, 'charged_on', f.business_date))
    FROM judged j JOIN funded f USING (trade_uid)
    WHERE f.broker_transaction_id IS NOT NULL AND f.fee <> 0 AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT j.trade_uid, 7, jsonb_build_object(
        'do', 'insert', 'table', 'fee_allocations', 'row', jsonb_build_object(
            'fee_uid', concat_ws('_', 'IB', j.account_id, f.broker_transaction_id, 'COMMISSION'), 'broker', 'IB',
            'trade_uid', b.standing_uid, 'account_id', j.account_id, 'amount', trim_scale(f.fee)::text))
    FROM judged j JOIN funded f USING (trade_uid) JOIN rebooked b USING (trade_uid)
    WHERE f.broker_transaction_id IS NOT NULL AND f.fee <> 0 AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT j.trade_uid, 7, jsonb_build_object('do', 'delete', 'table', 'fee_allocations', 'key', jsonb_build_object(
               'fee_uid', a.fee_uid, 'trade_uid', a.trade_uid))
    FROM judged j JOIN rebooked b USING (trade_uid) JOIN fee_allocations a ON a.trade_uid = j.meant_uid
    WHERE j.standing = 1
    UNION ALL
    SELECT j.trade_uid, 8, jsonb_build_object(
        'do', 'insert', 'table', 'fee_allocations', 'row', jsonb_build_object(
            'fee_uid', f.fee_uid, 'trade_uid', b.standing_uid, 'broker', 'IB', 'account_id', j.account_id,
            'amount', f.amount::text))
    FROM judged j
    JOIN rebooked b USING (trade_uid)
    JOIN trades_norm m ON m.trade_uid = j.meant_uid
    JOIN fees_norm f ON f.fee_uid > concat_ws('_', 'IB', m.account_id, m.broker_trade_id, '')
                    AND f.fee_uid < concat_ws('_', 'IB', m.account_id, m.broker_trade_id, '~') AND f.amount <> 0
    WHERE j.standing = 1
      AND NOT EXISTS (SELECT FROM fee_allocations a WHERE a.fee_uid = f.fee_uid AND a.trade_uid = b.standing_uid)
    UNION ALL
    -- what takes nothing back moves nothing
    SELECT j.trade_uid, 5, jsonb_build_object('do', 'delete', 'table', 'trades_norm',
                                              'key', jsonb_build_object('trade_uid', j.trade_uid))
    FROM judged j JOIN funded f USING (trade_uid)
    WHERE f.broker_transaction_id IS NULL AND f.tells_days AND NOT f.tells_cancel AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT j.trade_uid, 6, jsonb_build_object('do', 'delete', 'table', 'cash_movements',
                                              'key', jsonb_build_object('cash_uid', m.cash_uid))
    FROM judged j
    JOIN funded f USING (trade_uid)
    JOIN cash_movements m ON m.cash_uid IN (concat('IB_', j.account_id, '_T', j.record_key, '_BASE'),
                                            concat('IB_', j.account_id, '_T', j.record_key, '_QUOTE'))
    WHERE f.broker_transaction_id IS NULL AND f.tells_days AND NOT f.tells_cancel AND coalesce(j.standing, 0) = 0
    UNION ALL
    SELECT d.trade_uid, 1, jsonb_build_object(
        'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', d.trade_uid),
        'row', jsonb_build_object('effective', true))
    FROM dropped d
    UNION ALL
    SELECT m.trade_uid, 1, jsonb_build_object(
        'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', m.trade_uid),
        'row', jsonb_build_object('effective', NOT m.effective))
    FROM miscounted m
), repairs AS (
    SELECT trade_uid, jsonb_agg(one ORDER BY place) AS rows FROM changes GROUP BY 1
)
SELECT 'IB' AS broker, j.account_id, j.trade_uid AS subject, j.trade_date AS business_date,
       CASE WHEN what IN ('the trade counts', 'the cancel counts') THEN 0
            WHEN what IN ('taken back twice', 'another contract', 'a later trade') THEN 1
            WHEN kind = 'CANCEL' THEN -signed ELSE signed END AS expected,
       CASE WHEN what IN ('no such trade', 'another contract', 'a later trade') THEN 0
            WHEN what = 'the cancel counts' THEN signed WHEN what = 'taken back twice' THEN takers
            ELSE original_signed END AS actual,
       CASE WHEN what = 'no such trade' AND standing IS NULL
                 AND coalesce(original_day < begins::text, original_day IS NULL AND trade_date < begins + 31, true)
            THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN what = 'no such trade' THEN 'MISSING_A' WHEN what = 'taken back twice' THEN 'DUPLICATE'
            WHEN what IN ('the trade counts', 'the cancel counts') THEN 'PIPELINE' ELSE 'CORRECTION' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'what', what, 'symbol', symbol, 'side', side, 'qty', trim_scale(qty)::text, 'price', trim_scale(price)::text,
           'origTransactionID', original_id, 'origTradeID', original_trade_id, 'origTradeDate', nullif(dated, ''),
           'history_begins', begins, 'may_mean', meant_uid,
           'original', CASE WHEN original_uid IS NOT NULL THEN jsonb_build_object(
               'trade_uid', original_uid, 'symbol', original_symbol, 'qty', trim_scale(original_signed)::text,
               'trade_date', original_date, 'counts', original_effective) END,
           'rows', to_jsonb(array_remove(ARRAY[trade_uid, concat_ws('/', 'trades_raw_ib', j.account_id, record_key),
                                               original_uid, meant_uid, 'broker_funds/' || line_uid], NULL)),
           'set_right', p.rows)) AS evidence
FROM judged j
LEFT JOIN repairs p USING (trade_uid)
LEFT JOIN (SELECT trade_uid, line_uid FROM funded) AS f USING (trade_uid)
WHERE what IS NOT NULL
UNION ALL
SELECT d.broker, d.account_id, d.trade_uid, d.trade_date, d.signed, 0, 'ERROR', 'PIPELINE',
       jsonb_build_object(
           'what', 'does not count, and nothing takes it back', 'symbol', d.symbol, 'side', d.side,
           'qty', trim_scale(d.qty)::text,
           'rows', jsonb_build_array(d.trade_uid, concat_ws('/', 'trades_raw_ib', d.account_id, d.broker_trade_id)),
           'set_right', p.rows)
FROM dropped d LEFT JOIN repairs p USING (trade_uid)
UNION ALL
SELECT m.broker, m.account_id, m.trade_uid, m.trade_date, CASE WHEN m.effective THEN 0 ELSE m.signed END,
       CASE WHEN m.effective THEN m.signed ELSE 0 END, 'ERROR',
       CASE m.status WHEN '2' THEN 'CORRECTION' ELSE 'PIPELINE' END,
       jsonb_strip_nulls(jsonb_build_object(
           'what', m.what, 'symbol', m.symbol, 'side', m.side, 'qty', trim_scale(m.qty)::text, 'status', m.status,
           'order_uid', m.order_uid,
           'rows', to_jsonb(array_remove(ARRAY[
               m.trade_uid, concat_ws('/', 'trades_raw_futu', m.account_id, m.broker_trade_id), m.order_uid], NULL)),
           'set_right', p.rows))
FROM miscounted m LEFT JOIN repairs p USING (trade_uid)
ORDER BY 3
