-- Realized P&L in the base currency of its account, in `realized_rated`: of the rows that were matched anew, and of those
-- closed since the first mark, whose rates or base may have changed. The rate is that of the closing trade, else that of the day.
CREATE TEMPORARY TABLE IF NOT EXISTS due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    account_id text COLLATE "C", instrument_id text COLLATE "C", broker text COLLATE "C" NOT NULL, from_day date NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) ON COMMIT DROP;
CREATE TEMPORARY TABLE IF NOT EXISTS realized_new (LIKE realized_pnl) ON COMMIT DROP;

-- Without a rule and without rates of the day, the base is the only one that the account's rates ever had.
CREATE TEMPORARY TABLE only_bases ON COMMIT DROP AS
SELECT c.account_id, CASE WHEN min(c.to_currency) = max(c.to_currency) THEN min(c.to_currency) END AS base_currency,
    CASE WHEN min(c.to_currency) FILTER (WHERE d.account_id IS NULL) = max(c.to_currency) FILTER (WHERE d.account_id IS NULL)
        THEN min(c.to_currency) FILTER (WHERE d.account_id IS NULL) END AS base_before
FROM conversion_rates c
LEFT JOIN due d ON d.account_id = c.account_id AND d.business_date = c.business_date AND d.broker = c.broker AND d.was_dirty
GROUP BY c.account_id;
CREATE TEMPORARY TABLE rated_days ON COMMIT DROP AS
SELECT account_id, min(from_day) AS from_day FROM (
    SELECT account_id, business_date AS from_day FROM due WHERE was_dirty
    UNION ALL
    SELECT account_id, '-infinity' FROM only_bases
    WHERE base_currency IS DISTINCT FROM base_before AND account_id IN (SELECT account_id FROM due WHERE was_dirty)
) AS days GROUP BY account_id;
ANALYZE rated_days;

CREATE TEMPORARY TABLE rated_rows (LIKE realized_pnl) ON COMMIT DROP;
INSERT INTO rated_rows
SELECT r.* FROM (
    SELECT r.* FROM rated_days d JOIN realized_pnl r ON r.account_id = d.account_id AND r.closed_on >= d.from_day
    WHERE d.from_day > '-infinity' AND r.closed_on >= %(dirty_since)s
    UNION ALL
    SELECT r.* FROM rated_days d JOIN realized_pnl r USING (account_id)
    WHERE d.from_day = '-infinity' AND EXISTS (SELECT FROM rated_days WHERE from_day = '-infinity')
) AS r
WHERE NOT EXISTS (
    SELECT FROM touched t
    WHERE t.account_id = r.account_id AND t.instrument_id = r.instrument_id AND r.closed_on >= t.from_day
);
ANALYZE rated_rows (account_id, closed_on);

CREATE TEMPORARY TABLE bases ON COMMIT DROP AS
SELECT d.account_id, d.closed_on, coalesce(rule.value, day.to_currency, o.base_currency) AS base_currency, day.to_currency
FROM (SELECT account_id, closed_on FROM realized_new UNION SELECT account_id, closed_on FROM rated_rows) AS d
LEFT JOIN LATERAL (
    SELECT r.value FROM account_rules r
    WHERE r.account_id = d.account_id AND r.rule = 'BASE_CURRENCY' AND r.from_date <= d.closed_on
    ORDER BY r.from_date DESC LIMIT 1
) AS rule ON true
LEFT JOIN (
    SELECT account_id, business_date, min(to_currency) AS to_currency FROM conversion_rates GROUP BY 1, 2
) AS day ON day.account_id = d.account_id AND day.business_date = d.closed_on
LEFT JOIN only_bases o ON o.account_id = d.account_id;
ANALYZE bases;

-- On days without a mark only another base can have changed anything.
DELETE FROM rated_rows r USING bases b
WHERE b.account_id = r.account_id AND b.closed_on = r.closed_on AND b.base_currency IS NOT DISTINCT FROM r.base_currency
  AND NOT EXISTS (
      SELECT FROM due d WHERE d.account_id = r.account_id AND d.business_date = r.closed_on AND d.was_dirty
  );

CREATE TEMPORARY TABLE realized_rated ON COMMIT DROP AS
SELECT realized_uid, broker, account_id, instrument_id, symbol, underlying, asset_class, kind, direction, lot_uid,
    open_trade_uid, close_trade_uid, qty, multiplier, open_price, close_price, open_fees, close_fees, carried_pnl,
    cost_basis, realized_pnl, currency, rate AS fx_rate_to_base, trim_scale(round(realized_pnl * rate, 10)) AS realized_pnl_base,
    base_currency, opened_at, closed_at, opened_on, closed_on, method, basis_source
FROM (
    SELECT r.realized_uid, r.broker, r.account_id, r.instrument_id, r.symbol, r.underlying, r.asset_class, r.kind, r.direction,
        r.lot_uid, r.open_trade_uid, r.close_trade_uid, r.qty, r.multiplier, r.open_price, r.close_price, r.open_fees,
        r.close_fees, r.carried_pnl, r.cost_basis, r.realized_pnl, r.currency, b.base_currency, r.opened_at, r.closed_at,
        r.opened_on, r.closed_on, r.method, r.basis_source,
        trim_scale(CASE
            WHEN r.currency = b.base_currency THEN 1
            WHEN f.fx_rate_to_base IS NOT NULL AND b.base_currency = coalesce(b.to_currency, b.base_currency)
                THEN f.fx_rate_to_base
            ELSE c.rate
        END) AS rate
    FROM (SELECT * FROM realized_new UNION ALL SELECT * FROM rated_rows) AS r
    JOIN bases b ON b.account_id = r.account_id AND b.closed_on = r.closed_on
    LEFT JOIN broker_trade_figures f ON f.trade_uid = r.close_trade_uid AND f.currency = r.currency
    LEFT JOIN (
        SELECT account_id, business_date, from_currency, to_currency, max(rate) AS rate FROM conversion_rates
        GROUP BY 1, 2, 3, 4
    ) AS c ON c.account_id = r.account_id AND c.business_date = r.closed_on AND c.from_currency = r.currency
        AND c.to_currency = b.base_currency
) AS told;
ANALYZE realized_rated (realized_uid);
SELECT count(*) AS rated FROM realized_rated
