-- D06. Of every statement of funds, by currency: what its lines move leads from its first balance to its last, line by
-- line (each line's balance before it is that after another, whatever their order). And of each of its days: our
-- entries and its lines move the same in every transaction.
DROP TABLE IF EXISTS span;
DROP TABLE IF EXISTS day;
DROP TABLE IF EXISTS line;
CREATE TEMPORARY TABLE span (
    broker text COLLATE "C", account_id text COLLATE "C", currency text COLLATE "C", from_date date, to_date date,
    low numeric, high numeric
) ON COMMIT DROP;
CREATE TEMPORARY TABLE day (
    broker text COLLATE "C", account_id text COLLATE "C", currency text COLLATE "C", from_date date, to_date date,
    on_date date
) ON COMMIT DROP;
CREATE TEMPORARY TABLE line (
    account_id text COLLATE "C", currency text COLLATE "C", from_date date, to_date date, amount numeric, after numeric,
    before numeric
) ON COMMIT DROP;

INSERT INTO span
SELECT broker, account_id, currency, from_date, to_date, min(balance) AS low, max(balance) AS high
FROM broker_funds
WHERE level = 'Currency' AND from_date IS NOT NULL AND coalesce(amount, 0) = 0 AND balance IS NOT NULL
  AND business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3, 4, 5 HAVING count(*) = 2;
ANALYZE span;
INSERT INTO day
SELECT broker, account_id, currency, from_date, to_date, on_date::date
FROM span CROSS JOIN generate_series(from_date, to_date, interval '1 day') AS on_date;
ANALYZE day;
INSERT INTO line
SELECT d.account_id, d.currency, d.from_date, d.to_date, l.amount, round(l.balance, 6),
       round(l.balance - l.amount, 6)
FROM day d JOIN broker_funds l ON l.account_id = d.account_id AND l.currency = d.currency
    AND l.business_date = d.on_date
WHERE l.level = 'Currency' AND l.amount IS NOT NULL AND l.from_date IS NULL;
ANALYZE line;

WITH loose AS (
    -- balances that only one side knows: once each for the first and the last of all, if nothing is wrong
    SELECT account_id, currency, from_date, to_date, balance
    FROM (
        SELECT account_id, currency, from_date, to_date, after AS balance, 1 AS side FROM line
        UNION ALL SELECT account_id, currency, from_date, to_date, before, -1 FROM line
    ) AS balances
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(side) <> 0
), broken AS (
    SELECT s.broker, s.account_id, s.currency, s.from_date, s.to_date, s.high - s.low AS expected,
           abs(coalesce(moved.amount, 0)) AS actual, strange.balances
    FROM span s
    LEFT JOIN (
        SELECT account_id, currency, from_date, to_date, sum(amount) AS amount FROM line GROUP BY 1, 2, 3, 4
    ) AS moved USING (account_id, currency, from_date, to_date)
    LEFT JOIN (
        SELECT o.account_id, o.currency, o.from_date, o.to_date,
               to_jsonb((array_agg(o.balance::text ORDER BY o.balance))[:20]) AS balances
        FROM loose o JOIN span USING (account_id, currency, from_date, to_date)
        WHERE o.balance NOT IN (round(span.low, 6), round(span.high, 6))
        GROUP BY 1, 2, 3, 4
    ) AS strange USING (account_id, currency, from_date, to_date)
), told AS (
    SELECT DISTINCT d.broker, d.account_id, d.currency, d.on_date FROM day d
    WHERE d.on_date BETWEEN %(from_date)s AND %(to_date)s
), moved AS (
    SELECT t.broker, l.account_id, l.currency, l.business_date AS on_date, l.broker_transaction_id AS transaction_id,
           l.amount AS theirs, 0 AS ours, NULL AS entry_uid
    FROM told t JOIN broker_funds l
      ON l.account_id = t.account_id AND l.currency = t.currency AND l.business_date = t.on_date
    WHERE l.level = 'Currency' AND l.amount <> 0 AND l.from_date IS NULL
    UNION ALL
    SELECT t.broker, c.account_id, c.currency, c.booked_on,
           coalesce(d.broker_trade_id, regexp_replace(m.broker_cash_id, '_(BASE|QUOTE)$', ''), v.broker_transaction_id,
                    a.broker_transaction_id, l.broker_transaction_id),
           0, c.amount, c.entry_uid
    FROM told t JOIN cash_ledger c ON c.account_id = t.account_id AND c.currency = t.currency
        AND c.booked_on = t.on_date
    LEFT JOIN trades_norm d ON d.trade_uid = c.trade_uid
    LEFT JOIN cash_movements m ON m.cash_uid = c.cash_uid
    LEFT JOIN transfers v ON c.kind = 'TRANSFER' AND v.transfer_uid = left(c.entry_uid, -9)
    LEFT JOIN corporate_actions a ON c.kind = 'CORPORATE_ACTION' AND a.action_uid = left(c.entry_uid, -7)
    LEFT JOIN broker_funds l ON c.kind = 'OTHER' AND l.line_uid = left(c.entry_uid, -6)
    WHERE c.kind <> 'OPENING'
), unnamed AS (
    -- where lines name no transaction, a day is right if its sums are
    SELECT account_id, currency, on_date FROM moved
    GROUP BY 1, 2, 3
    HAVING bool_or(transaction_id IS NULL AND entry_uid IS NULL) AND abs(sum(theirs) - sum(ours)) <= 0.005
), differing AS (
    SELECT broker, account_id, currency, on_date, transaction_id, sum(theirs) AS theirs, sum(ours) AS ours,
           jsonb_agg(entry_uid ORDER BY entry_uid) FILTER (WHERE entry_uid IS NOT NULL) AS entries
    FROM moved m
    WHERE NOT EXISTS (
        SELECT FROM unnamed u WHERE (u.account_id, u.currency, u.on_date) = (m.account_id, m.currency, m.on_date)
    )
    GROUP BY 1, 2, 3, 4, 5 HAVING abs(sum(theirs) - sum(ours)) > 0.005
), lacking AS (
    -- Transactions that we have no trade and no booking of: their own line tells quantity and price, or what was
    -- booked. The commission may be there, with the uid of its trade.
    SELECT d.account_id, d.currency, d.on_date, d.transaction_id, l.line_uid, l.amount, l.activity_code, l.settle_date,
           l.symbol, l.description, i.underlying, i.asset_class, r.payload ->> 'conid' AS conid,
           number.qty, number.price, coalesce(number.multiplier, i.multiplier) AS multiplier, number.commission,
           number.tax, o.order_uid, d.entries IS NULL AS is_unpaid,
           coalesce(fee.trade_uid, 'IB_' || d.account_id || '_T' || d.transaction_id) AS trade_uid,
           l.activity_code IN ('BUY', 'SELL') AND number.qty <> 0 AND number.price IS NOT NULL
               AND i.asset_class IS NOT NULL AND coalesce(number.multiplier, i.multiplier) IS NOT NULL AS is_trade,
           -- the moment of an opening is that of the lot that it opened
           coalesce((SELECT min(w.opened_at) FROM broker_lots w
                     WHERE w.account_id = d.account_id AND w.open_trade_id = d.transaction_id
                       AND w.business_date BETWEEN d.on_date AND d.on_date + 7),
                    (SELECT min(w.opened_at) FROM broker_closed_lots w
                     WHERE w.account_id = d.account_id AND w.open_trade_id = d.transaction_id
                       AND w.business_date >= d.on_date)) AS opened_at
    FROM differing d
    JOIN broker_funds l ON l.account_id = d.account_id AND l.business_date = d.on_date AND l.currency = d.currency
                       AND l.level = 'Currency' AND l.from_date IS NULL AND l.broker_transaction_id = d.transaction_id
    JOIN sections_raw_ib r ON r.account_id = l.account_id
                          AND r.record_key = substr(l.line_uid, length('IB_' || l.account_id || '_') + 1)
    LEFT JOIN instruments i ON i.symbol = l.symbol
    CROSS JOIN LATERAL (
        SELECT max(told.value) FILTER (WHERE told.name = 'tradeQuantity') AS qty,
               max(told.value) FILTER (WHERE told.name = 'tradePrice') AS price,
               max(told.value) FILTER (WHERE told.name = 'multiplier') AS multiplier,
               max(told.value) FILTER (WHERE told.name = 'tradeCommission') AS commission,
               max(told.value) FILTER (WHERE told.name = 'tradeTax') AS tax
        FROM (
            SELECT field.key AS name, replace(field.value, ',', '')::numeric AS value
            FROM jsonb_each_text(r.payload) AS field
            WHERE field.key IN ('tradeQuantity', 'tradePrice', 'multiplier', 'tradeCommission', 'tradeTax')
              AND field.value ~ '^-?[0-9][0-9,]*([.][0-9]+)?$'
        ) AS told
    ) AS number
    LEFT JOIN LATERAL (
        -- an order that knows of more than its trades tell
        SELECT known.order_uid FROM orders_norm known
        WHERE known.order_uid = 'IB_' || d.account_id || '_' || (r.payload ->> 'orderID')
          AND known.filled_qty > coalesce((SELECT sum(t.qty) FROM trades_norm t
                                           WHERE t.order_uid = known.order_uid AND t.effective), 0)
    ) AS o ON true
    LEFT JOIN fees_norm fee ON fee.fee_uid = concat_ws('_', 'IB', d.account_id, d.transaction_id, 'COMMISSION')
    WHERE (d.entries IS NULL OR NOT EXISTS (
        SELECT FROM trades_norm t WHERE t.broker = 'IB' AND t.account_id = d.account_id
            AND t.broker_trade_id = d.transaction_id))
      AND NOT EXISTS (SELECT FROM cash_movements m WHERE m.cash_uid = 'IB_' || d.account_id || '_C' || d.transaction_id)
), taken_back AS (
    -- A line without a quantity that returns the money of one earlier trade is the cancel of it.
    SELECT k.account_id, k.currency, k.on_date, k.transaction_id, min(t.trade_uid) AS trade_uid
    FROM lacking k
    JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = k.account_id AND t.symbol = k.symbol
        AND t.currency = k.currency AND t.trade_date BETWEEN k.on_date - 31 AND k.on_date
        AND t.effective AND t.kind = 'TRADE' AND t.source = 'FLEX'
    JOIN broker_trade_figures f ON f.trade_uid = t.trade_uid AND abs(f.proceeds + k.amount) <= 0.005
    WHERE k.activity_code IN ('BUY', 'SELL') AND coalesce(k.qty, 0) = 0
    GROUP BY 1, 2, 3, 4 HAVING count(*) = 1
), ours_only AS (
    -- What we entered of a transaction that no line tells, or that a line tells with another amount.
    SELECT DISTINCT d.account_id, d.currency, d.on_date, d.transaction_id, d.theirs, d.ours, c.trade_uid, c.cash_uid,
           c.fee_uid, count(*) OVER one AS entries, bool_or(c.kind <> 'FEE') OVER one AS has_money
    FROM differing d CROSS JOIN LATERAL jsonb_array_elements_text(d.entries) AS e (uid)
    JOIN cash_ledger c ON c.entry_uid = e.uid
    WHERE c.cash_uid IS NOT NULL OR EXISTS (SELECT FROM trades_norm t WHERE t.trade_uid = c.trade_uid)
    WINDOW one AS (PARTITION BY d.account_id, d.currency, d.on_date, d.transaction_id)
), elsewhere AS (
    -- What we entered in one currency and a line tells in another.
    SELECT o.account_id, o.currency AS ours_in, o.on_date, o.transaction_id, o.cash_uid, l.currency, l.amount
    FROM ours_only o
    JOIN broker_funds l ON l.account_id = o.account_id AND l.business_date = o.on_date AND l.currency <> o.currency
                       AND l.level = 'Currency' AND l.from_date IS NULL AND l.broker_transaction_id = o.transaction_id
    WHERE o.theirs = 0 AND o.cash_uid IS NOT NULL
), other_day AS (
    -- What we entered on one day and a line tells on another.
    SELECT o.account_id, o.currency, o.on_date, o.transaction_id, o.cash_uid, min(l.business_date) AS told_on
    FROM ours_only o
    JOIN broker_funds l ON l.account_id = o.account_id AND l.currency = o.currency AND l.level = 'Currency'
        AND l.from_date IS NULL AND l.broker_transaction_id = o.transaction_id
        AND l.business_date BETWEEN o.on_date - 31 AND o.on_date + 31 AND l.business_date <> o.on_date
    WHERE o.theirs = 0 AND o.cash_uid IS NOT NULL AND o.entries = 1
    GROUP BY 1, 2, 3, 4, 5, o.ours HAVING sum(l.amount) = o.ours
), proposed AS (
    SELECT o.account_id, o.currency, o.on_date,
           jsonb_build_object('do', 'delete', 'table', 'fees_norm',
                              'key', jsonb_build_object('fee_uid', f.fee_uid, 'charged_on', f.charged_on)) AS change,
           CASE WHEN NOT o.has_money THEN o.transaction_id END AS transaction_id
    FROM ours_only o JOIN fees_norm f USING (fee_uid) WHERE o.theirs = 0
    UNION ALL
    SELECT o.account_id, o.currency, o.on_date,
           CASE WHEN o.trade_uid IS NOT NULL
                THEN jsonb_build_object('do', 'delete', 'table', 'trades_norm',
                                        'key', jsonb_build_object('trade_uid', t.trade_uid, 'trade_date', t.trade_date))
                ELSE jsonb_build_object('do', 'delete', 'table', 'cash_movements',
                                        'key', jsonb_build_object('cash_uid', o.cash_uid)) END,
           o.transaction_id
    FROM ours_only o LEFT JOIN trades_norm t USING (trade_uid)
    WHERE o.theirs = 0 AND o.fee_uid IS NULL AND NOT EXISTS (SELECT FROM elsewhere e WHERE e.cash_uid = o.cash_uid)
      AND NOT EXISTS (SELECT FROM other_day e WHERE e.cash_uid = o.cash_uid)
    UNION ALL
    SELECT e.account_id, e.currency, e.on_date, jsonb_build_object(
               'do', 'update', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', e.cash_uid),
               'row', jsonb_build_object('booked_on', e.told_on)),
           e.transaction_id
    FROM other_day e
    UNION ALL
    SELECT e.account_id, e.ours_in, e.on_date, jsonb_build_object(
               'do', 'update', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', e.cash_uid),
               'row', jsonb_build_object('booked_on', e.on_date, 'currency', e.currency, 'amount', e.amount::text)),
           e.transaction_id
    FROM elsewhere e
    UNION ALL
    SELECT o.account_id, o.currency, o.on_date, jsonb_build_object(
               'do', 'update', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', o.cash_uid),
               'row', jsonb_build_object('booked_on', o.on_date, 'amount', o.theirs::text)), o.transaction_id
    FROM ours_only o WHERE o.theirs <> 0 AND o.cash_uid IS NOT NULL AND o.entries = 1
    UNION ALL
    SELECT d.account_id, d.currency, d.on_date, jsonb_build_object(
               'do', 'update', 'table', 'corporate_actions', 'key', jsonb_build_object('action_uid', min(a.action_uid)),
               'row', jsonb_build_object('business_date', min(a.business_date), 'proceeds', d.theirs::text,
                                         'amount', (-d.theirs)::text)),
           d.transaction_id
    FROM differing d JOIN corporate_actions a ON a.account_id = d.account_id
        AND a.broker_transaction_id = d.transaction_id
    GROUP BY 1, 2, 3, d.theirs, d.transaction_id HAVING count(*) = 1
    UNION ALL
    SELECT o.account_id, o.currency, o.on_date, jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
               'row', jsonb_build_object('trade_date', t.trade_date, 'price', told.price,
                                         'amount', trim_scale(t.qty * told.price::numeric * t.multiplier)::text)),
           o.transaction_id
    FROM (SELECT DISTINCT account_id, currency, on_date, transaction_id, trade_uid FROM ours_only
          WHERE theirs <> 0 AND trade_uid IS NOT NULL) AS o
    JOIN trades_norm t USING (trade_uid)
    JOIN broker_funds l ON l.account_id = o.account_id AND l.business_date = o.on_date AND l.currency = o.currency
                       AND l.level = 'Currency' AND l.from_date IS NULL AND l.broker_transaction_id = o.transaction_id
    JOIN sections_raw_ib r ON r.account_id = l.account_id
                          AND r.record_key = substr(l.line_uid, length('IB_' || l.account_id || '_') + 1)
    CROSS JOIN LATERAL (SELECT replace(r.payload ->> 'tradePrice', ',', '') AS price) AS told
    WHERE told.price ~ '^[0-9]+([.][0-9]+)?$' AND told.price::numeric <> t.price
    UNION ALL
    SELECT o.account_id, o.currency, o.on_date, jsonb_build_object(
               'do', 'update', 'table', 'broker_trade_figures', 'key', jsonb_build_object('trade_uid', f.trade_uid),
               'row', jsonb_build_object('proceeds', trim_scale(f.proceeds + o.theirs - o.ours)::text)), NULL
    FROM (SELECT DISTINCT account_id, currency, on_date, theirs, ours, trade_uid FROM ours_only
          WHERE theirs <> 0 AND trade_uid IS NOT NULL) AS o
    JOIN broker_trade_figures f USING (trade_uid)
    JOIN trades_norm t USING (trade_uid)
    UNION ALL
    SELECT account_id, currency, on_date, jsonb_build_object(
               'do', 'insert', 'table', 'trades_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_uid', trade_uid, 'order_uid', order_uid, 'broker', 'IB', 'account_id', account_id,
                   'broker_trade_id', transaction_id, 'market', split_part(symbol, '.', 1), 'symbol', symbol,
                   'underlying', underlying, 'asset_class', asset_class, 'kind', 'TRADE', 'effective', true,
                   'side', CASE WHEN qty > 0 THEN 'BUY' ELSE 'SELL' END, 'qty', abs(qty)::text, 'price', price::text,
                   'multiplier', multiplier::text, 'amount', (abs(qty) * price * multiplier)::text,
                   'currency', currency,
                   'executed_at', coalesce(to_jsonb(opened_at) #>> '{}', on_date || 'T20:00:00Z'),
                   'trade_date', on_date, 'report_date', on_date, 'settle_date', settle_date,
                   'instrument_id', conid, 'source', 'FLEX'))),
           transaction_id
    FROM lacking WHERE is_trade
    UNION ALL
    SELECT account_id, currency, on_date, jsonb_build_object(
               'do', 'insert', 'table', 'fees_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'fee_uid', concat_ws('_', 'IB', account_id, transaction_id, part.kind), 'order_uid', order_uid,
                   'trade_uid', CASE part.kind WHEN 'COMMISSION' THEN trade_uid END, 'broker', 'IB',
                   'account_id', account_id, 'fee_type', part.kind, 'broker_fee_name', part.name,
                   'amount', (-part.amount)::text, 'currency', currency, 'charged_on', on_date))),
           NULL
    FROM lacking
    CROSS JOIN LATERAL (
        VALUES ('COMMISSION', 'ibCommission', commission), ('TAX', 'taxes', tax)
    ) AS part (kind, name, amount)
    WHERE is_trade AND part.amount <> 0 AND is_unpaid
    UNION ALL
    SELECT b.account_id, b.currency, b.on_date, jsonb_build_object(
               'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', b.trade_uid),
               'row', jsonb_build_object('trade_date', t.trade_date, 'effective', false)),
           NULL
    FROM taken_back b JOIN trades_norm t USING (trade_uid)
    UNION ALL
    SELECT b.account_id, b.currency, b.on_date, jsonb_build_object(
               'do', 'insert', 'table', 'trades_norm', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'trade_uid', concat('IB_', b.account_id, '_T', b.transaction_id), 'broker', 'IB',
                   'account_id', b.account_id, 'broker_trade_id', b.transaction_id, 'market', t.market,
                   'symbol', t.symbol, 'underlying', t.underlying, 'asset_class', t.asset_class, 'kind', 'CANCEL',
                   'effective', false, 'side', CASE t.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END,
                   'qty', t.qty::text, 'price', t.price::text, 'multiplier', t.multiplier::text,
                   'amount', t.amount::text, 'currency', t.currency, 'executed_at', b.on_date || 'T20:00:00Z',
                   'trade_date', b.on_date, 'report_date', b.on_date, 'instrument_id', t.instrument_id,
                   'source', 'FLEX'))),
           b.transaction_id
    FROM taken_back b JOIN trades_norm t USING (trade_uid)
    UNION ALL
    SELECT account_id, currency, on_date, jsonb_build_object(
               'do', 'insert', 'table', 'cash_movements', 'row', jsonb_strip_nulls(jsonb_build_object(
                   'cash_uid', 'IB_' || account_id || '_C' || transaction_id, 'broker', 'IB',
                   'account_id', account_id, 'broker_cash_id', transaction_id, 'kind', booking.kind,
                   'symbol', symbol, 'amount', amount::text, 'currency', currency, 'booked_on', on_date,
                   'settle_date', settle_date, 'description', description, 'source', 'FLEX'))),
           transaction_id
    FROM lacking
    JOIN (VALUES ('DIV', 'DIVIDEND'), ('PIL', 'DIVIDEND'), ('FRTAX', 'TAX'), ('CINT', 'INTEREST'), ('DINT', 'INTEREST'),
                 ('INTR', 'INTEREST'), ('INTP', 'INTEREST'), ('DEP', 'DEPOSIT'), ('WITH', 'WITHDRAWAL'), ('OFEE', 'FEE')
    ) AS booking (code, kind) ON booking.code = activity_code
    WHERE is_unpaid
)

SELECT broker, account_id, concat(account_id, ' ', currency, ' ', from_date, '..', to_date) AS subject,
       to_date AS business_date, expected, actual, 'ERROR' AS severity, currency, NULL AS cause,
       jsonb_build_object('from_date', from_date, 'loose_balances', balances) AS evidence
FROM broken WHERE abs(expected - actual) > 0.01 OR balances IS NOT NULL
UNION ALL
SELECT broker, account_id, concat(account_id, ' ', currency, ' ', on_date), on_date, sum(theirs), sum(ours), 'ERROR',
       currency, CASE WHEN bool_and(ours = 0) THEN 'MISSING_B' WHEN bool_and(theirs = 0) THEN 'MISSING_A' END,
       jsonb_build_object('transactions', jsonb_agg(jsonb_build_object(
           'transaction', transaction_id, 'theirs', theirs::text, 'ours', ours::text, 'entries', entries
       ) ORDER BY transaction_id), 'rows',
           coalesce(jsonb_path_query_array(jsonb_agg(entries) FILTER (WHERE entries IS NOT NULL), '$[*][*]'), '[]')
           || coalesce((SELECT jsonb_agg(DISTINCT k.line_uid) FROM lacking k
                        WHERE (k.account_id, k.currency, k.on_date) = (d.account_id, d.currency, d.on_date)), '[]'))
       || coalesce((
           SELECT jsonb_build_object('set_right', jsonb_agg(p.change)) FROM proposed p
           WHERE (p.account_id, p.currency, p.on_date) = (d.account_id, d.currency, d.on_date)
           HAVING count(DISTINCT p.transaction_id) = count(DISTINCT d.transaction_id)), '{}')
FROM differing d GROUP BY 1, 2, 3, 4, currency
ORDER BY 3
