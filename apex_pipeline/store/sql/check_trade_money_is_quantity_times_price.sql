-- B10. Of every trade: amount = quantity x price x multiplier, to the last digit, because all four are ours. With its
-- sign it is IB's proceeds, and IB's tradeMoney with the other sign, to 1e-6: IB rounds no money further. Only a price
-- of six decimals or more is rounded itself, to half a unit of its last digit, and what the point of a bond is worth is
-- known to a cent or 1e-5. IB's quantity has the sign of its buySell, but for a cancel.
-- IB's net cash is proceeds less fees; of a future it is mtmPnl less fees, of a CFD the fees alone. Not compared: other
-- classes, a net cash of 0, which IB tells on the trade date, and a trade of which no fee is told at all. A fee in
-- another currency may be in it or not, so may the fee of a book entry and the accrued interest of a bond.
-- Multiplier and currency are those of the class (all contracts of an option's root, else the instrument): by rule of
-- shares and of standard US contracts, else as most orders have them. After a corporate action they may be others, and
-- what IB's proceeds prove, or two trades of the same contract, is right. A currency is doubted too where the rate to
-- the base is not its own but that of the fee's currency. An instrument of which no trade is as its row says is one
-- finding, on its first day.
-- The legs of a combination at Futu all go their own way, or all the other one; other deals B01 compares with orders.
-- What is doubted is told by what else IB says of the trade: tradeMoney, net cash, cost and gain, and
-- (mtmPnl - proceeds) / closePrice, which is quantity x multiplier.
WITH kinds AS MATERIALIZED (
    SELECT broker, asset_class, class, multiplier, currency, count(*) AS trades
    FROM (
        SELECT broker, asset_class, multiplier, currency,
               CASE asset_class WHEN 'OPTION' THEN split_part(symbol, ' ', 1) ELSE symbol END AS class
        FROM trades_norm
        WHERE asset_class IN ('STOCK', 'OPTION', 'FUTURE', 'FUTURE_OPTION', 'FX', 'FUND', 'WARRANT', 'CFD', 'CRYPTO')
    ) AS traded
    GROUP BY 1, 2, 3, 4, 5
), mixed AS MATERIALIZED (
    SELECT broker, asset_class, class FROM kinds GROUP BY 1, 2, 3 HAVING count(*) > 1
), votes AS MATERIALIZED (
    SELECT broker, asset_class, class, multiplier, currency, trades AS orders
    FROM kinds WHERE (broker, asset_class, class) NOT IN (SELECT broker, asset_class, class FROM mixed)
    UNION ALL
    -- where they differ an order has one vote, however many fills it has
    SELECT m.broker, m.asset_class, m.class, t.multiplier, t.currency,
           count(DISTINCT coalesce(t.order_uid, t.trade_uid))
    FROM mixed m JOIN trades_norm t ON t.broker = m.broker AND t.asset_class = m.asset_class
        AND m.class = CASE t.asset_class WHEN 'OPTION' THEN split_part(t.symbol, ' ', 1) ELSE t.symbol END
    GROUP BY 1, 2, 3, 4, 5
), multipliers AS (
    SELECT broker, asset_class, class, array_agg(multiplier) AS told,
           CASE WHEN asset_class IN ('STOCK', 'FUND', 'FX') THEN 1
                WHEN broker = 'FUTU' AND asset_class = 'OPTION' AND class ~ '^US\..*[^0-9]$' THEN 100
                WHEN 2 * max(orders) > sum(orders) THEN (array_agg(multiplier ORDER BY orders DESC))[1] END AS usual
    FROM (
        SELECT broker, asset_class, class, multiplier, sum(orders) AS orders
        FROM votes WHERE multiplier IS NOT NULL GROUP BY 1, 2, 3, 4
    ) AS counted
    GROUP BY 1, 2, 3
), currencies AS (
    SELECT broker, asset_class, class,
           CASE WHEN broker = 'FUTU' AND asset_class IN ('STOCK', 'OPTION') AND class LIKE 'US.%%' THEN 'USD'
                WHEN 2 * max(orders) > sum(orders) THEN (array_agg(currency ORDER BY orders DESC))[1] END AS usual
    FROM (
        SELECT broker, asset_class, class, currency, sum(orders) AS orders
        FROM votes WHERE currency IS NOT NULL GROUP BY 1, 2, 3, 4
    ) AS counted
    GROUP BY 1, 2, 3
), classes AS MATERIALIZED (
    SELECT broker, asset_class, class, m.usual AS multiplier, m.told AS multipliers, c.usual AS currency
    FROM multipliers m FULL JOIN currencies c USING (broker, asset_class, class)
), bases AS MATERIALIZED (
    SELECT account_id, mode() WITHIN GROUP (ORDER BY to_currency) AS base
    FROM conversion_rates WHERE broker = 'IB' GROUP BY 1
), paid AS (
    SELECT account_id, split_part(fee_uid, '_', 3) AS record_key, currency, sum(amount) AS fees
    FROM fees_norm WHERE broker = 'IB' AND charged_on BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY 1, 2, 3
), told AS MATERIALIZED (
    SELECT account_id, record_key, btrim(word."tradeMoney") AS trade_money,
           (btrim(word.quantity) LIKE '-%%') <> (word."buySell" LIKE 'SELL%%') AS is_crossed
    FROM trades_raw_ib
    CROSS JOIN LATERAL jsonb_to_record(payload) AS word ("tradeMoney" text, quantity text, "buySell" text)
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
), legs AS (
    -- 1 where a deal goes the way of its leg, else -1
    SELECT t.trade_uid, t.order_uid, t.trade_date, CASE WHEN t.side = leg.side THEN 1 ELSE -1 END AS way
    FROM (
        SELECT o.order_uid, one ->> 'symbol' AS symbol, min(one ->> 'side') AS side
        FROM orders_norm o CROSS JOIN LATERAL jsonb_array_elements(o.legs) AS one
        WHERE o.broker = 'FUTU' AND o.legs IS NOT NULL AND o.source = 'futu_orders'
          AND o.trade_date BETWEEN %(from_date)s::date - 90 AND %(to_date)s
        GROUP BY 1, 2 HAVING count(DISTINCT one ->> 'side') = 1
    ) AS leg
    JOIN trades_norm t USING (order_uid, symbol)
    WHERE t.trade_date BETWEEN %(from_date)s::date - 90 AND %(to_date)s
), astray AS MATERIALIZED (
    SELECT trade_uid FROM legs
    WHERE way < 0 AND trade_date BETWEEN %(from_date)s AND %(to_date)s
      AND order_uid IN (SELECT order_uid FROM legs WHERE way > 0)
), named AS (
    -- what the row of an instrument says of it, where no trade of either broker says the same
    SELECT (array_agg(t.broker ORDER BY t.trade_date, t.trade_uid))[1] AS broker, t.symbol,
           (array_agg(t.account_id ORDER BY t.trade_date, t.trade_uid))[1] AS account_id,
           min(t.trade_date) AS business_date, i.multiplier, i.currency, o.multiplier AS usual_multiplier,
           o.currency AS usual_currency, count(*) AS trades,
           (array_agg(t.trade_uid ORDER BY t.trade_date, t.trade_uid))[:19] AS uids
    FROM (
        SELECT i.symbol, max(c.multiplier) AS multiplier, max(c.currency) AS currency
        FROM instruments i
        JOIN classes c ON c.asset_class = i.asset_class AND (i.multiplier <> c.multiplier OR i.currency <> c.currency)
            AND c.class = CASE i.asset_class WHEN 'OPTION' THEN split_part(i.symbol, ' ', 1) ELSE i.symbol END
        WHERE NOT EXISTS (SELECT FROM corporate_actions a WHERE a.symbol IN (i.symbol, i.underlying))
        GROUP BY i.symbol
    ) AS o
    JOIN instruments i USING (symbol)
    JOIN trades_norm t USING (symbol)
    GROUP BY t.symbol, i.multiplier, i.currency, o.multiplier, o.currency
    HAVING min(t.trade_date) BETWEEN %(from_date)s AND %(to_date)s
       AND (i.multiplier <> o.multiplier AND NOT bool_or(t.multiplier = i.multiplier)
            OR i.currency <> o.currency AND NOT bool_or(t.currency = i.currency))
), ids AS (
    SELECT 'IB' AS broker, ib_conid AS id, min(symbol) AS symbol FROM instruments WHERE ib_conid IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'FUTU', futu_code, min(symbol) FROM instruments WHERE futu_code IS NOT NULL GROUP BY 2
), told_classes AS MATERIALIZED (
    -- ids of IB that stand in two classes, and how many trades and positions tell each
    SELECT id, asset_class, count(*) AS rows
    FROM (
        SELECT instrument_id AS id, asset_class FROM trades_norm WHERE broker = 'IB'
        UNION ALL
        SELECT broker_position_id, asset_class FROM broker_positions WHERE broker = 'IB'
    ) AS told
    WHERE id IN (SELECT ib_conid FROM instruments GROUP BY 1 HAVING count(DISTINCT asset_class) > 1)
    GROUP BY 1, 2
), misnamed AS MATERIALIZED (
    -- the symbol is of another instrument than the broker's own id
    SELECT t.trade_uid, n.symbol AS known_symbol
    FROM trades_norm t
    LEFT JOIN instruments i ON i.symbol = t.symbol
    JOIN ids n ON n.broker = t.broker AND n.id = t.instrument_id
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.source IN ('FLEX', 'futu_deals')
      AND (i.symbol IS NULL OR CASE t.broker WHEN 'IB' THEN i.ib_conid ELSE i.futu_code END <> t.instrument_id)
    UNION
    -- one id of IB in two classes: right is the one of which there are more trades and positions
    SELECT t.trade_uid, k.symbol
    FROM trades_norm t
    JOIN instruments k ON k.ib_conid = t.instrument_id AND k.asset_class <> t.asset_class
    JOIN told_classes theirs ON theirs.id = t.instrument_id AND theirs.asset_class = k.asset_class
    JOIN told_classes ours ON ours.id = t.instrument_id AND ours.asset_class = t.asset_class
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s AND t.broker = 'IB' AND t.source = 'FLEX'
      AND theirs.rows > ours.rows
), suspects AS MATERIALIZED (
    -- whatever is not equal to the last digit, or not as usual; not all of it is wrong
    SELECT t.trade_uid
    FROM trades_norm t
    LEFT JOIN broker_trade_figures f USING (trade_uid)
    LEFT JOIN told r ON t.broker = 'IB' AND r.account_id = t.account_id AND r.record_key = t.broker_trade_id
    LEFT JOIN paid p ON t.broker = 'IB' AND p.account_id = t.account_id AND p.record_key = t.broker_trade_id
                    AND p.currency = t.currency
    LEFT JOIN bases b ON b.account_id = t.account_id
    CROSS JOIN LATERAL (
        SELECT t.qty * t.price * t.multiplier AS size, CASE t.side WHEN 'BUY' THEN -1 ELSE 1 END AS sign
    ) AS m
    WHERE t.trade_date BETWEEN %(from_date)s AND %(to_date)s
      AND (t.amount IS DISTINCT FROM m.size OR f.proceeds <> m.sign * m.size OR t.currency <> f.currency
           OR (f.fx_rate_to_base = 1) <> (t.currency = b.base)
           OR r.is_crossed AND t.kind <> 'CANCEL' AND t.qty > 0
           OR CASE WHEN r.trade_money ~ '^[-+]?\d+\.?\d*$' THEN r.trade_money::numeric <> -m.sign * m.size END
           OR f.net_cash <> 0 AND t.asset_class <> 'FX'
              AND CASE t.asset_class WHEN 'FUTURE' THEN f.mtm_pnl WHEN 'CFD' THEN 0 ELSE f.proceeds END
                  <> f.net_cash + coalesce(p.fees, 0))
    UNION
    SELECT t.trade_uid
    FROM classes c
    JOIN votes v USING (broker, asset_class, class)
    JOIN trades_norm t ON t.broker = c.broker AND t.asset_class = c.asset_class
        AND c.class = CASE t.asset_class WHEN 'OPTION' THEN split_part(t.symbol, ' ', 1) ELSE t.symbol END
        AND (v.multiplier <> c.multiplier AND t.multiplier = v.multiplier
             OR v.currency <> c.currency AND t.currency = v.currency)
    WHERE (v.multiplier <> c.multiplier OR v.currency <> c.currency)
      AND t.trade_date BETWEEN %(from_date)s AND %(to_date)s
    UNION SELECT trade_uid FROM astray UNION SELECT trade_uid FROM misnamed
), facts AS MATERIALIZED (
    SELECT t.*, f.proceeds, f.net_cash, f.mtm_pnl, f.cost_basis, f.realized_pnl, f.currency AS told_currency,
           c.multiplier AS usual_multiplier, c.multipliers, c.currency AS usual_currency, to_jsonb(k) AS known, m.sign,
           m.sign * m.size AS money, m.size, fee.*, r.*, i.multiplier AS named_multiplier, i.currency AS named_currency,
           CASE t.asset_class WHEN 'FUTURE' THEN f.mtm_pnl WHEN 'CFD' THEN 0 ELSE f.proceeds END AS gross,
           1e-6 + CASE WHEN t.asset_class = 'BOND' THEN greatest(0.01, abs(f.proceeds) * 1e-5)
                       WHEN scale(t.price) >= 6 THEN t.qty * t.multiplier * 0.5 / 10::numeric ^ scale(t.price)
                       ELSE 0 END AS tolerance,
           w.trade_uid IS NOT NULL AS is_astray, u.trade_uid IS NOT NULL AS is_misnamed,
           -- the currency whose rate was told, where that is not the trade's own
           CASE WHEN NOT coalesce(abs(f.fx_rate_to_base - rate.own) <= rate.own * 5e-4, true)
                     AND abs(f.fx_rate_to_base - rate.fee) <= rate.fee * 5e-4 THEN fee.fee_currency END
               AS rated_currency,
           EXISTS (SELECT FROM corporate_actions a
                   WHERE a.account_id = t.account_id
                     AND (a.instrument_id = t.instrument_id
                          OR a.symbol IN (t.symbol, t.underlying, u.known_symbol))) AS has_action
    FROM trades_norm t
    LEFT JOIN broker_trade_figures f USING (trade_uid)
    LEFT JOIN instruments i ON i.symbol = t.symbol
    LEFT JOIN classes c ON c.broker = t.broker AND c.asset_class = t.asset_class
        AND c.class = CASE t.asset_class WHEN 'OPTION' THEN split_part(t.symbol, ' ', 1) ELSE t.symbol END
    CROSS JOIN LATERAL (
        SELECT t.qty * t.price * t.multiplier AS size, CASE t.side WHEN 'BUY' THEN -1 ELSE 1 END AS sign
    ) AS m
    LEFT JOIN LATERAL (
        SELECT sum(amount) AS fees, coalesce(sum(amount) FILTER (WHERE currency = t.currency), 0) AS own_fees,
               jsonb_agg(fee_uid ORDER BY fee_uid) AS fee_uids,
               jsonb_agg(fee_uid ORDER BY fee_uid) FILTER (WHERE currency = t.currency) AS own_fee_uids,
               min(currency) FILTER (WHERE currency <> t.currency) AS fee_currency,
               (array_agg(fee_uid ORDER BY fee_type <> 'COMMISSION', fee_uid))[1] AS first_fee,
               (array_agg(amount ORDER BY fee_type <> 'COMMISSION', fee_uid))[1] AS first_amount
        FROM (
            SELECT * FROM fees_norm
            WHERE t.broker = 'IB' AND fee_uid > concat_ws('_', 'IB', t.account_id, t.broker_trade_id, '')
              AND fee_uid < concat_ws('_', 'IB', t.account_id, t.broker_trade_id, '~')
            UNION ALL
            SELECT * FROM fees_norm WHERE t.broker = 'FUTU' AND order_uid = t.order_uid
        ) AS charged
    ) AS fee ON true
    LEFT JOIN LATERAL (
        SELECT max(CASE WHEN one.currency = t.currency THEN one.rate END) AS own,
               max(CASE WHEN one.currency = fee.fee_currency THEN one.rate END) AS fee
        FROM (
            SELECT base AS currency, 1 AS rate FROM bases WHERE account_id = t.account_id
            UNION ALL
            SELECT from_currency, r.rate FROM conversion_rates r JOIN bases b USING (account_id)
            WHERE r.account_id = t.account_id AND r.business_date = t.trade_date AND r.to_currency = b.base
        ) AS one
    ) AS rate ON fee.fee_currency IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT -number.trade_money AS trade_money, nullif(number.close, 0) AS close, number.qty AS raw_signed,
               abs(number.qty) AS raw_qty, number.price AS raw_price, coalesce(number.accrued, 0) AS accrued,
               record.name AS raw_name,
               CASE WHEN t.kind <> 'CANCEL' AND word IN ('BUY', '1', '4') THEN 'BUY'
                    WHEN t.kind <> 'CANCEL' AND word IN ('SELL', '2', '3') THEN 'SELL' END AS raw_side,
               CASE WHEN t.broker = 'IB' THEN nullif(btrim(payload ->> 'currency'), '') END AS raw_currency
        FROM (
            SELECT 'trades_raw_ib/' || account_id || '/' || record_key AS name, payload FROM trades_raw_ib
            WHERE t.broker = 'IB' AND account_id = t.account_id AND record_key = t.broker_trade_id
            UNION ALL
            SELECT 'trades_raw_futu/' || account_id || '/' || record_key, payload FROM trades_raw_futu
            WHERE t.broker = 'FUTU' AND account_id = t.account_id AND record_key = t.broker_trade_id
        ) AS record
        CROSS JOIN LATERAL (
            SELECT upper(btrim(coalesce(payload ->> 'buySell', payload ->> 'trdSide'))) AS word
        ) AS way
        CROSS JOIN LATERAL (
            SELECT max(told::numeric) FILTER (WHERE name = 'tradeMoney') AS trade_money,
                   max(told::numeric) FILTER (WHERE name = 'closePrice') AS close,
                   max(told::numeric) FILTER (WHERE name IN ('quantity', 'qty')) AS qty,
                   max(told::numeric) FILTER (WHERE name IN ('tradePrice', 'price')) AS price,
                   max(told::numeric) FILTER (WHERE name = 'accruedInt') AS accrued
            FROM jsonb_each_text(record.payload) AS field (name, told)
            WHERE name IN ('tradeMoney', 'closePrice', 'quantity', 'qty', 'tradePrice', 'price', 'accruedInt')
              AND btrim(told) ~ '^[-+]?\d+\.?\d*$'
        ) AS number
    ) AS r ON true
    LEFT JOIN astray w ON w.trade_uid = t.trade_uid
    LEFT JOIN misnamed u ON u.trade_uid = t.trade_uid
    LEFT JOIN instruments k ON k.symbol = u.known_symbol
    WHERE t.trade_uid = ANY (ARRAY(SELECT trade_uid FROM suspects))
), likes AS (
    -- contracts of which two trades tell the same multiplier, and none another
    SELECT broker, symbol, min(multiplier) AS own_multiplier
    FROM trades_norm
    WHERE (broker, symbol) IN (SELECT broker, symbol FROM facts WHERE multiplier <> usual_multiplier)
    GROUP BY 1, 2
    HAVING count(DISTINCT coalesce(order_uid, trade_uid)) > 1 AND min(multiplier) = max(multiplier)
), judged AS MATERIALIZED (
    SELECT f.*,
           (amount IS NULL) <> (size IS NULL) OR abs(amount - size) > abs(size) * 1e-25 AS off_amount,
           (proceeds <> 0 OR kind = 'TRADE' AND asset_class <> 'FX') AND abs(money - proceeds) > tolerance
               AS off_proceeds,
           trade_money <> 0 AND abs(money - trade_money) > tolerance AS off_trade_money,
           broker = 'IB' AND raw_signed <> 0 AND raw_side IS NOT NULL AND (raw_signed > 0) <> (side = 'BUY') AS off_sign,
           net_cash <> 0 AND (fees IS NOT NULL OR kind <> 'TRADE')
               AND asset_class IN ('STOCK', 'OPTION', 'FUTURE_OPTION', 'WARRANT', 'BOND', 'FUTURE', 'CFD')
               AND NOT EXISTS (
                   SELECT FROM unnest(ARRAY[own_fees, coalesce(fees, 0), CASE WHEN kind <> 'TRADE' THEN 0 END]) AS less,
                               unnest(ARRAY[0, accrued, -accrued]) AS more
                   WHERE abs(gross - less + more - net_cash) <= tolerance) AS off_net,
           multiplier <> usual_multiplier AND NOT has_action AND multiplier IS DISTINCT FROM own_multiplier
               AND (proceeds <> 0 AND abs(money - proceeds) <= tolerance) IS NOT TRUE AS off_multiplier,
           coalesce(currency <> usual_currency, false) OR coalesce(currency <> told_currency, false)
               OR rated_currency IS NOT NULL AS off_currency,
           coalesce(rated_currency, usual_currency, told_currency) AS right_currency,
           is_misnamed AND NOT has_action AS off_symbol,
           raw_qty <> qty OR raw_price <> price OR raw_side <> side OR raw_currency <> currency AS is_ours,
           (mtm_pnl - proceeds) / close AS units,
           round(abs(proceeds) / nullif(qty * abs(price), 0), 6) AS implied_multiplier,
           trim_scale(CASE WHEN raw_price <> price THEN raw_price
                           ELSE round(abs(proceeds) / nullif(qty * multiplier, 0), 10) END) AS right_price,
           trim_scale(CASE WHEN raw_qty <> qty THEN raw_qty
                           ELSE round(abs(proceeds) / nullif(abs(price) * multiplier, 0), 10) END) AS right_qty,
           -- how many other figures of IB say that the proceeds are right, and how many that ours are
           CASE WHEN trade_money <> 0 AND abs(trade_money - proceeds) <= tolerance THEN 1 ELSE 0 END
               + CASE WHEN asset_class <> 'FUTURE' AND abs(proceeds - own_fees - net_cash) <= tolerance THEN 1
                      ELSE 0 END
               + CASE WHEN abs(realized_pnl - nullif(cost_basis, 0) + fees - proceeds) <= 0.01 THEN 1 ELSE 0 END
               AS for_theirs,
           CASE WHEN trade_money <> 0 AND abs(trade_money - money) <= tolerance THEN 1 ELSE 0 END
               + CASE WHEN asset_class <> 'FUTURE' AND abs(money - own_fees - net_cash) <= tolerance THEN 1 ELSE 0 END
               + CASE WHEN abs(realized_pnl - nullif(cost_basis, 0) + fees - money) <= 0.01 THEN 1 ELSE 0 END
               AS for_ours
    FROM facts f LEFT JOIN likes l USING (broker, symbol)
), doubted AS MATERIALIZED (
    SELECT j.*,
           CASE
               WHEN (off_proceeds OR off_amount) AND raw_qty <> qty THEN 'qty'
               WHEN (off_proceeds OR off_amount) AND raw_price <> price THEN 'price'
               WHEN off_proceeds AND for_ours > for_theirs THEN 'proceeds'
               WHEN off_proceeds AND abs(money + proceeds) <= tolerance THEN 'side'
               WHEN off_proceeds AND multiplier <> implied_multiplier
                    AND (implied_multiplier = ANY (multipliers) OR implied_multiplier = usual_multiplier
                         OR asset_class = 'OPTION' AND implied_multiplier = 100) THEN 'multiplier'
               WHEN off_proceeds
                    AND abs(abs(units) - qty * multiplier) <= qty * multiplier * 1e-6 + 0.01 / close THEN 'price'
               WHEN off_proceeds AND abs(abs(units * price) - abs(proceeds)) <= 0.01 * (1 + price / close) THEN 'qty'
               WHEN off_proceeds THEN NULL
               WHEN off_amount THEN 'amount'
               WHEN is_astray THEN 'side'
               WHEN off_symbol THEN 'symbol'
               WHEN off_multiplier THEN 'multiplier'
               WHEN off_currency THEN 'currency'
               WHEN off_trade_money THEN 'tradeMoney'
               WHEN off_sign THEN 'sign of the quantity'
               WHEN asset_class = 'FUTURE' AND abs(mtm_pnl + sign * qty * multiplier * (close - price)) > 0.01
                   THEN 'mtmPnl'
               WHEN abs(realized_pnl - nullif(cost_basis, 0) - net_cash) <= 0.01 THEN 'fees'
               WHEN abs(realized_pnl - nullif(cost_basis, 0) - gross + fees) <= 0.01 THEN 'netCash'
           END AS what,
           CASE WHEN off_proceeds THEN trim_scale(implied_multiplier) ELSE usual_multiplier END AS right_multiplier,
           CASE WHEN off_proceeds THEN proceeds WHEN off_amount THEN size WHEN is_astray THEN -money
                WHEN off_symbol THEN NULL WHEN off_multiplier THEN usual_multiplier WHEN off_currency THEN money
                WHEN off_trade_money THEN trade_money WHEN off_sign THEN money
                WHEN off_net THEN net_cash END AS expected,
           CASE WHEN off_proceeds THEN money WHEN off_amount THEN amount WHEN is_astray THEN money
                WHEN off_symbol THEN NULL WHEN off_multiplier THEN multiplier WHEN off_currency THEN 0
                WHEN off_trade_money THEN money WHEN off_sign THEN -money
                WHEN off_net THEN gross - own_fees END AS actual
    FROM judged j
    WHERE off_amount OR off_proceeds OR off_trade_money OR off_sign OR off_net OR off_multiplier OR off_currency
       OR off_symbol OR is_astray
), trade_changes AS (
    SELECT d.trade_uid, 'trades_norm' AS name, jsonb_build_object('trade_uid', d.trade_uid) AS key,
           CASE d.what
               WHEN 'side' THEN jsonb_build_object('side', CASE d.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END)
               WHEN 'amount' THEN jsonb_build_object('amount', d.size::text)
               WHEN 'price' THEN jsonb_build_object('price', d.right_price::text,
                                                    'amount', trim_scale(d.qty * d.right_price * d.multiplier)::text)
               WHEN 'qty' THEN jsonb_build_object('qty', d.right_qty::text,
                                                  'amount', trim_scale(d.right_qty * d.price * d.multiplier)::text)
               WHEN 'multiplier' THEN jsonb_build_object(
                   'multiplier', d.right_multiplier::text,
                   'amount', trim_scale(d.qty * d.price * d.right_multiplier)::text)
               WHEN 'currency' THEN jsonb_build_object('currency', d.right_currency)
               WHEN 'symbol' THEN jsonb_build_object(
                   'symbol', d.known -> 'symbol', 'underlying', d.known -> 'underlying',
                   'asset_class', d.known -> 'asset_class')
           END AS row
    FROM doubted d WHERE d.what <> 'symbol' OR d.known IS NOT NULL
    UNION ALL
    SELECT d.trade_uid, 'broker_trade_figures', jsonb_build_object('trade_uid', d.trade_uid),
           CASE d.what
               WHEN 'proceeds' THEN jsonb_build_object('proceeds', trim_scale(d.money)::text)
               WHEN 'netCash' THEN jsonb_build_object('net_cash', trim_scale(d.gross - d.own_fees)::text)
               WHEN 'mtmPnl' THEN jsonb_build_object('mtm_pnl', trim_scale(d.net_cash + d.own_fees)::text)
               WHEN 'currency' THEN jsonb_build_object('currency', d.right_currency) END
    FROM doubted d WHERE d.broker = 'IB'
    UNION ALL
    -- an order of IB goes the way of its trades
    SELECT d.trade_uid, 'orders_norm', jsonb_build_object('order_uid', o.order_uid),
           jsonb_build_object('side', CASE d.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END, 'trade_date', o.trade_date)
    FROM doubted d JOIN trades_norm t USING (trade_uid) JOIN orders_norm o ON o.order_uid = t.order_uid
    WHERE d.what = 'side' AND d.broker = 'IB' AND o.legs IS NULL AND o.side = d.side
      AND NOT EXISTS (SELECT FROM trades_norm other
                      WHERE other.order_uid = o.order_uid AND other.effective AND other.side = d.side
                        AND other.trade_uid NOT IN (SELECT trade_uid FROM doubted WHERE what = 'side'))
    UNION ALL
    -- what the row of the instrument took over from this trade
    SELECT d.trade_uid, 'instruments', jsonb_build_object('symbol', d.symbol),
           CASE WHEN d.what = 'multiplier' AND d.named_multiplier = d.multiplier
                    THEN jsonb_build_object('multiplier', d.right_multiplier::text)
                WHEN d.what = 'currency' AND d.named_currency = d.currency
                    THEN jsonb_build_object('currency', d.right_currency) END
    FROM doubted d
    UNION ALL
    SELECT d.trade_uid, 'fees_norm', jsonb_build_object('fee_uid', d.first_fee),
           jsonb_build_object('amount', trim_scale(d.first_amount + d.gross - d.net_cash - d.fees)::text)
    FROM doubted d WHERE d.what = 'fees' AND d.first_fee IS NOT NULL
    UNION ALL
    SELECT d.trade_uid, 'fees_norm', jsonb_build_object('fee_uid', uid),
           jsonb_build_object('currency', d.right_currency)
    FROM doubted d CROSS JOIN LATERAL jsonb_array_elements(d.own_fee_uids) AS uid
    WHERE d.what = 'currency'
), repairs AS (
    SELECT trade_uid, jsonb_agg(jsonb_build_object('do', 'update', 'table', name, 'key', key, 'row', row)) AS rows
    FROM trade_changes WHERE row IS NOT NULL GROUP BY 1
)
SELECT d.broker, d.account_id, d.trade_uid AS subject, d.trade_date AS business_date, d.expected, d.actual,
       -- where what IB's own figures prove is what we have, only a figure of IB is odd
       CASE WHEN d.what IN ('proceeds', 'tradeMoney', 'netCash', 'sign of the quantity') THEN 'WARN' ELSE 'ERROR' END
           AS severity,
       CASE WHEN d.what = 'currency' THEN d.right_currency
            WHEN d.what IN ('multiplier', 'symbol') AND NOT coalesce(d.off_proceeds, false) THEN NULL
            ELSE d.currency END AS currency,
       CASE WHEN d.is_ours THEN 'PIPELINE' WHEN d.what IN ('multiplier', 'currency', 'symbol') THEN 'REFERENCE_DATA'
            WHEN abs(d.expected - d.actual) <= 0.005 THEN 'ROUNDING' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', d.symbol, 'kind', d.kind, 'side', d.side, 'qty', trim_scale(d.qty)::text,
           'price', trim_scale(d.price)::text, 'multiplier', trim_scale(d.multiplier)::text,
           'amount', trim_scale(d.amount)::text, 'currency', d.currency, 'fees', trim_scale(d.fees)::text,
           'doubted', d.what, 'usual_multiplier', trim_scale(d.usual_multiplier)::text,
           'usual_currency', d.usual_currency, 'currency_of_its_rate', d.rated_currency,
           'instrument_id', d.instrument_id, 'symbol_of_instrument_id', d.known -> 'symbol',
           'told', jsonb_build_object(
               'proceeds', trim_scale(d.proceeds)::text, 'tradeMoney', trim_scale(-d.trade_money)::text,
               'netCash', trim_scale(d.net_cash)::text, 'mtmPnl', trim_scale(d.mtm_pnl)::text,
               'closePrice', trim_scale(d.close)::text, 'cost', trim_scale(d.cost_basis)::text,
               'fifoPnlRealized', trim_scale(d.realized_pnl)::text, 'currency', d.told_currency,
               'quantity', trim_scale(d.raw_signed)::text, 'price', trim_scale(d.raw_price)::text, 'side', d.raw_side),
           'rows', jsonb_path_query_array(
               jsonb_build_array(d.trade_uid, d.raw_name) || coalesce(d.fee_uids, '[]'), '$[*] ? (@ != null)'),
           'set_right', r.rows)) AS evidence
FROM doubted d LEFT JOIN repairs r USING (trade_uid)
UNION ALL
SELECT n.broker, n.account_id, n.symbol, n.business_date,
       CASE WHEN n.multiplier <> n.usual_multiplier THEN n.usual_multiplier END,
       CASE WHEN n.multiplier <> n.usual_multiplier THEN n.multiplier END, 'ERROR', NULL, 'REFERENCE_DATA',
       jsonb_build_object(
           'symbol', n.symbol, 'multiplier', trim_scale(n.multiplier)::text, 'currency', n.currency, 'trades', n.trades,
           'usual_multiplier', trim_scale(n.usual_multiplier)::text, 'usual_currency', n.usual_currency,
           'rows', to_jsonb(ARRAY['instruments/' || n.symbol] || n.uids),
           'set_right', jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'instruments', 'key', jsonb_build_object('symbol', n.symbol),
               'row', jsonb_strip_nulls(jsonb_build_object('multiplier', trim_scale(n.usual_multiplier)::text,
                                                           'currency', n.usual_currency)))))
FROM named n
ORDER BY 3
