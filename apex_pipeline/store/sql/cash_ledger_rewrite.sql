-- Every movement of cash of some accounts, each from a day on: what follows from trades, fees, bookings, corporate
-- actions and transfers is compared with what is stored; only what differs is written, what no longer follows goes.
-- An entry never settles before it is booked, so everything booked since a day is also found by its settlement.
SET LOCAL work_mem = '128MB';
DROP TABLE IF EXISTS cash_due;
DROP TABLE IF EXISTS cash_wanted;
DROP TABLE IF EXISTS cash_traded;
CREATE TEMPORARY TABLE cash_due (account_id text COLLATE "C" PRIMARY KEY, from_day date NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE cash_wanted (LIKE cash_ledger) ON COMMIT DROP;
CREATE TEMPORARY TABLE cash_traded (account_id text COLLATE "C", currency text COLLATE "C", on_date date) ON COMMIT DROP;

INSERT INTO cash_due SELECT * FROM unnest(%(accounts)s::text[], %(dates)s::date[]);
ANALYZE cash_due;

-- Trades. Interactive Brokers books a cancelled trade and its cancel, each on the day of its report; elsewhere only
-- trades in force move cash. Conversions are booked by their two legs. A future moves only its gain to the close, and a
-- contract for difference nothing but its commission (IB's netCash; how its gains are booked was never seen).
-- Trades that were themselves read from the cash flow have their money there.
INSERT INTO cash_wanted
SELECT trade_uid || ':TRADE', broker, account_id, currency, booked_on, greatest(settles_on, booked_on), 'TRADE',
       trim_scale(amount), symbol, trade_uid, NULL, NULL, NULL
FROM (
    SELECT t.trade_uid, t.broker, t.account_id, t.currency, t.symbol, greatest(t.report_date, t.trade_date) AS booked_on,
           coalesce(s.settlement_date, t.settle_date) AS settles_on,
           CASE t.asset_class WHEN 'FUTURE' THEN f.mtm_pnl WHEN 'CFD' THEN 0
                ELSE coalesce(f.proceeds, CASE t.side WHEN 'BUY' THEN -t.amount ELSE t.amount END) END AS amount
    FROM (
        SELECT t.* FROM trades_norm t JOIN cash_due d ON d.account_id = t.account_id AND t.trade_date >= d.from_day
        WHERE t.trade_date >= %(first_day)s
        UNION ALL
        SELECT t.* FROM cash_ledger c
        JOIN cash_due d ON d.account_id = c.account_id AND c.settle_date >= d.from_day AND c.booked_on >= d.from_day
        JOIN trades_norm t ON t.trade_uid = c.trade_uid AND t.trade_date < d.from_day
        WHERE c.kind = 'TRADE' AND c.settle_date >= %(first_day)s
    ) AS t
    LEFT JOIN broker_trade_figures f ON f.trade_uid = t.trade_uid
    LEFT JOIN settlement_tracking s ON s.trade_uid = t.trade_uid
    WHERE t.asset_class NOT IN ('FX', 'COMBO') AND t.source <> 'futu_cash'
      AND (t.effective OR (t.broker = 'IB' AND t.source = 'FLEX'))
) AS money
WHERE amount <> 0 AND currency IS NOT NULL;

-- Fees, also those that stayed on a cancelled trade: they were paid. They are booked and settle with their trade.
WITH charged AS MATERIALIZED (
    SELECT f.* FROM fees_norm f JOIN cash_due d ON d.account_id = f.account_id AND f.charged_on >= d.from_day
    WHERE f.charged_on >= %(first_day)s AND f.amount <> 0 AND f.currency IS NOT NULL
    UNION ALL
    SELECT f.* FROM cash_ledger c
    JOIN cash_due d ON d.account_id = c.account_id AND c.settle_date >= d.from_day AND c.booked_on >= d.from_day
    JOIN fees_norm f ON f.fee_uid = c.fee_uid AND f.charged_on < d.from_day
    WHERE c.settle_date >= %(first_day)s AND f.amount <> 0 AND f.currency IS NOT NULL
), borne AS (
    SELECT b.fee_uid, max(t.report_date) AS reported_on, max(coalesce(s.settlement_date, t.settle_date)) AS settles_on,
           min(t.symbol) AS symbol, CASE WHEN count(*) = 1 THEN min(t.trade_uid) END AS trade_uid
    FROM (
        SELECT fee_uid, trade_uid FROM charged WHERE trade_uid IS NOT NULL
        UNION ALL
        SELECT c.fee_uid, a.trade_uid FROM charged c JOIN fee_allocations a ON a.fee_uid = c.fee_uid
        WHERE c.trade_uid IS NULL AND c.broker <> 'IB'
        UNION ALL
        -- a tax names the transaction that was charged; the trade that bears it may be one that took its place later
        SELECT c.fee_uid, coalesce(t.trade_uid, a.trade_uid) FROM charged c
        LEFT JOIN trades_norm t ON t.broker = c.broker AND t.account_id = c.account_id
         AND t.broker_trade_id = split_part(substr(c.fee_uid, length(c.account_id) + 5), '_', 1)
        LEFT JOIN fee_allocations a ON a.fee_uid = c.fee_uid
        WHERE c.trade_uid IS NULL AND c.broker = 'IB'
    ) AS b
    JOIN trades_norm t ON t.trade_uid = b.trade_uid
    LEFT JOIN settlement_tracking s ON s.trade_uid = t.trade_uid
    GROUP BY 1
)
INSERT INTO cash_wanted
SELECT c.fee_uid || ':FEE', c.broker, c.account_id, c.currency, greatest(c.charged_on, b.reported_on),
       greatest(c.charged_on, b.reported_on, b.settles_on), 'FEE', trim_scale(-c.amount), b.symbol,
       coalesce(c.trade_uid, b.trade_uid), NULL, c.fee_uid, c.broker_fee_name
FROM charged c LEFT JOIN borne b ON b.fee_uid = c.fee_uid;

-- Days up to a week after something was traded at Futu, which has its entries above.
INSERT INTO cash_traded
SELECT DISTINCT account_id, currency, trade_date + later
FROM (
    SELECT DISTINCT t.account_id, t.currency, t.trade_date FROM trades_norm t
    JOIN cash_due d ON d.account_id = t.account_id AND t.trade_date >= d.from_day - 7
    WHERE t.trade_date >= %(first_day)s::date - 7 AND t.broker = 'FUTU' AND t.effective AND t.currency IS NOT NULL
      AND t.asset_class NOT IN ('FUTURE', 'COMBO') AND t.source NOT IN ('futu_cash', 'futu_positions')
) AS traded CROSS JOIN generate_series(0, 7) AS later;
ANALYZE cash_traded;

-- Bookings. Futu books trades and the fees of orders once more; they are left out as long as something was traded,
-- except fees whose words say that they are of no order.
INSERT INTO cash_wanted
SELECT m.cash_uid || ':CASH', m.broker, m.account_id, m.currency, m.booked_on,
       greatest(m.settle_date, m.booked_on), m.kind, trim_scale(m.amount), m.symbol, NULL, m.cash_uid, NULL, m.description
FROM cash_movements m
JOIN cash_due d ON d.account_id = m.account_id AND m.booked_on >= d.from_day
LEFT JOIN cash_traded t
       ON m.broker = 'FUTU' AND m.kind IN ('TRADE', 'FEE')
      AND t.account_id = m.account_id AND t.currency = m.currency AND t.on_date = m.booked_on
WHERE m.booked_on >= %(first_day)s AND m.amount <> 0 AND m.currency IS NOT NULL
  AND (t.on_date IS NULL
       OR (m.kind = 'FEE' AND concat_ws(' ', m.broker_kind, m.description) ~* %(fees_of_no_order)s));

INSERT INTO cash_wanted
SELECT a.action_uid || ':ACTION', a.broker, a.account_id, a.currency, a.business_date, a.business_date,
       'CORPORATE_ACTION', trim_scale(a.proceeds), a.symbol, NULL, NULL, NULL, a.description
FROM corporate_actions a JOIN cash_due d ON d.account_id = a.account_id AND a.business_date >= d.from_day
WHERE a.business_date >= %(first_day)s AND a.proceeds <> 0 AND a.currency IS NOT NULL
UNION ALL
SELECT t.transfer_uid || ':TRANSFER', t.broker, t.account_id, t.currency, t.business_date,
       greatest(t.settle_date, t.business_date), 'TRANSFER', trim_scale(t.cash_amount), t.symbol, NULL, NULL, NULL,
       t.description
FROM transfers t JOIN cash_due d ON d.account_id = t.account_id AND t.business_date >= d.from_day
WHERE t.business_date >= %(first_day)s AND t.cash_amount <> 0 AND t.currency IS NOT NULL
UNION ALL
-- What the statement of funds says of a future and no trade does: the margin of the days on which it was held. A line
-- without an id is known by its day; it may be about a trade nevertheless, which was reported on that day.
SELECT l.line_uid || ':FUNDS', l.broker, l.account_id, l.currency, l.business_date,
       greatest(l.settle_date, l.business_date), 'OTHER', trim_scale(l.amount), l.symbol, NULL, NULL, NULL, l.description
FROM broker_funds l JOIN cash_due d ON d.account_id = l.account_id AND l.business_date >= d.from_day
JOIN instruments i ON i.symbol = l.symbol AND i.asset_class = 'FUTURE'
WHERE l.business_date >= %(first_day)s AND l.amount <> 0 AND l.level = 'Currency' AND l.currency IS NOT NULL
  AND l.from_date IS NULL
  AND NOT EXISTS (
    SELECT FROM trades_norm t
    WHERE t.broker = l.broker AND t.account_id = l.account_id AND t.broker_trade_id = l.broker_transaction_id
) AND NOT EXISTS (
    SELECT FROM trades_raw_ib r
    JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = r.account_id AND t.broker_trade_id = r.record_key
    WHERE l.broker_transaction_id IS NULL AND btrim(r.payload ->> 'tradeID') = l.broker_trade_id
      AND r.account_id = l.account_id AND greatest(t.report_date, t.trade_date) = l.business_date
);
ANALYZE cash_wanted;

WITH removed AS (
    DELETE FROM cash_ledger c USING cash_due d
    WHERE c.account_id = d.account_id AND c.settle_date >= d.from_day AND c.booked_on >= d.from_day
      AND c.settle_date >= %(first_day)s AND c.kind <> 'OPENING'
      AND NOT EXISTS (SELECT FROM cash_wanted w WHERE w.entry_uid = c.entry_uid)
    RETURNING 1
), written AS (
    INSERT INTO cash_ledger
    SELECT w.* FROM cash_wanted w LEFT JOIN cash_ledger c USING (entry_uid)
    WHERE c.entry_uid IS NULL OR c.* IS DISTINCT FROM w.*
    ON CONFLICT (entry_uid) DO UPDATE SET
        broker = EXCLUDED.broker, account_id = EXCLUDED.account_id, currency = EXCLUDED.currency,
        booked_on = EXCLUDED.booked_on, settle_date = EXCLUDED.settle_date, kind = EXCLUDED.kind,
        amount = EXCLUDED.amount, symbol = EXCLUDED.symbol, trade_uid = EXCLUDED.trade_uid,
        cash_uid = EXCLUDED.cash_uid, fee_uid = EXCLUDED.fee_uid, description = EXCLUDED.description
    RETURNING (xmax = 0) AS inserted
)
SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated,
       (SELECT count(*) FROM removed) AS deleted
FROM written
