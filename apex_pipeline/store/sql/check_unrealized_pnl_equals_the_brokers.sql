-- D04. The unrealized gain of every position as a broker tells it, against ours at the same mark, where the quantity
-- agrees (else C02 speaks) and our basis is known. Ours is counted from the cost that the broker tells: how the two
-- costs differ is the finding of C04, and Futu's is an average where ours is of lots. What is left of a difference is a
-- contract size, a mark or a sum that is not right. Allowed: a cent, one in ten thousand of the gain, and what the
-- rounding of the told cost and mark (Futu at least three places, IB four) makes of the whole position. Bonds are told
-- in per cent and with interest; TWS tells no gain.
-- The value that the broker tells is quantity times mark times contract size, within a thousandth; and at IB it is in the
-- currency in which the contract was traded.
-- A difference moves with the mark, so it is a finding of the first day on which it is seen, not of those that follow.
SET LOCAL work_mem = '64MB';
DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.told, pg_temp.differing;
CREATE TEMPORARY TABLE snapshots ON COMMIT DROP AS
WITH all_told AS (
    SELECT DISTINCT 'FUTU' COLLATE "C" AS broker, account_id, business_date FROM positions_raw_futu
    WHERE business_date <= %(to_date)s::date
    UNION ALL
    SELECT DISTINCT 'IB', account_id, business_date FROM positions_raw_ib
    WHERE business_date <= %(to_date)s::date AND record_key NOT LIKE 'tws:%%'
), readable AS (
    SELECT t.*, max(business_date) FILTER (WHERE business_date < %(from_date)s::date)
                OVER (PARTITION BY broker, account_id) AS before
    FROM all_told t
    WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.broker = t.broker AND q.kind = 'positions'
                      AND q.account_id = t.account_id AND q.business_date = t.business_date AND q.resolved_at IS NULL)
)
SELECT broker, account_id, business_date,
       row_number() OVER (PARTITION BY broker, account_id ORDER BY business_date)::int AS n
FROM readable WHERE business_date >= %(from_date)s::date OR business_date = before;
ANALYZE snapshots;

CREATE TEMPORARY TABLE told ON COMMIT DROP AS
SELECT s.broker, s.account_id, s.n, s.business_date,
       CASE s.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END AS instrument,
       max(p.symbol) AS symbol, sum(p.qty) AS qty, sum(p.average_cost * p.qty) AS units_cost,
       sum(p.unrealized_pnl) AS gain, sum(p.market_value) AS market_value, max(p.mark_price) AS mark,
       max(p.currency) AS currency,
       greatest(max(scale(p.average_cost)), max(scale(p.mark_price)), CASE s.broker WHEN 'IB' THEN 4 ELSE 3 END)
           AS places
FROM snapshots s JOIN broker_positions p USING (business_date, broker, account_id)
WHERE p.asset_class NOT IN ('FX', 'COMBO', 'BOND') AND p.source <> 'TWS'
GROUP BY 1, 2, 3, 4, 5
HAVING count(p.average_cost) = count(*) AND count(p.unrealized_pnl) = count(*);
ANALYZE told (broker, account_id, business_date, instrument);

CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
WITH ours AS MATERIALIZED (
    SELECT p.*, CASE p.broker WHEN 'IB' THEN p.instrument_id ELSE p.symbol END AS instrument,
           -- the size that our value counts with; where the mark is 0 it is that of the instrument
           coalesce(round(p.market_value / nullif(p.qty * p.mark_price, 0), 8), i.multiplier) AS multiplier
    FROM positions_daily p LEFT JOIN instruments i USING (symbol)
    WHERE p.business_date >= (SELECT min(business_date) FROM snapshots) AND p.business_date <= %(to_date)s::date
      AND p.unrealized_pnl IS NOT NULL
), compared AS (
    SELECT t.*, p.instrument_id, p.unrealized_pnl AS in_ledger, p.cost_basis, p.mark_price AS our_mark, p.multiplier,
           p.currency AS our_currency,
           t.units_cost * p.multiplier AS told_cost, t.qty * t.mark * p.multiplier AS made_value,
           t.broker = 'IB' AND t.currency <> p.currency AS off_currency,
           0.01 + 10::numeric ^ -t.places * abs(t.qty * p.multiplier) AS rounded,
           p.unrealized_pnl + p.cost_basis - t.units_cost * p.multiplier AS ours,
           p.avg_cost * t.qty AS our_units_cost
    FROM told t JOIN ours p USING (business_date, account_id, broker, instrument)
    WHERE abs(p.qty - t.qty) <= 1e-8 AND p.multiplier IS NOT NULL
)
SELECT * FROM (
    SELECT *, rounded + abs(gain) * 1e-4 AS tolerance,
           abs(ours - gain) > rounded + abs(gain) * 1e-4
               AND (broker <> 'IB' OR abs(our_units_cost - units_cost)
                                      <= greatest(abs(units_cost) * 1e-4, 0.01 / multiplier)) AS off_gain,
           coalesce(abs(market_value - made_value) > rounded + abs(made_value) * 1e-3, false) AS off_value
    FROM compared
) AS judged
WHERE off_gain OR off_value OR off_currency;

SELECT d.broker, d.account_id, d.symbol
       || CASE WHEN d.instrument = d.symbol THEN '' ELSE ' ' || d.instrument END AS subject,
       d.business_date,
       trim_scale(CASE WHEN d.off_gain THEN d.gain WHEN d.off_value THEN d.market_value END) AS expected,
       trim_scale(round(CASE WHEN d.off_gain THEN d.ours WHEN d.off_value THEN d.made_value END, 10)) AS actual,
       d.currency, 'ERROR' AS severity,
       CASE WHEN NOT d.off_gain AND d.off_currency THEN 'REFERENCE_DATA'
            WHEN d.mark IS DISTINCT FROM d.our_mark THEN 'PIPELINE'
            WHEN abs(size.told - d.multiplier) > d.multiplier * 1e-3 THEN 'REFERENCE_DATA'
            WHEN abs(d.in_ledger + d.cost_basis - d.qty * d.our_mark * d.multiplier) > 0.01
                THEN 'PIPELINE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', d.symbol, 'instrument_id', d.instrument_id, 'quantity', trim_scale(d.qty)::text,
           'told', trim_scale(d.gain)::text, 'ours', trim_scale(round(d.ours, 10))::text,
           'in_ledger', trim_scale(round(d.in_ledger, 10))::text, 'told_cost', trim_scale(round(d.told_cost, 10))::text,
           'cost', trim_scale(round(d.cost_basis, 10))::text, 'told_mark', trim_scale(d.mark)::text,
           'mark', trim_scale(d.our_mark)::text, 'told_value', trim_scale(d.market_value)::text,
           'multiplier', trim_scale(d.multiplier)::text,
           'multiplier_of_told_value', trim_scale(round(size.told, 6))::text,
           'currency', d.currency, 'our_currency', d.our_currency,
           'set_right', mended.changes,
           'rows', (SELECT coalesce(jsonb_agg(name ORDER BY place, name), '[]') FROM (
                        SELECT 1 AS place,
                               concat_ws('/', 'positions_daily', d.business_date, d.account_id, d.instrument_id) AS name
                        UNION ALL
                        (SELECT 2,
                                concat_ws('/', 'broker_positions', p.business_date, p.broker, p.account_id,
                                          p.broker_position_id)
                         FROM broker_positions p
                         WHERE p.business_date = d.business_date AND p.broker = d.broker AND p.account_id = d.account_id
                           AND d.instrument = CASE d.broker WHEN 'IB' THEN p.broker_position_id ELSE p.symbol END
                         ORDER BY p.broker_position_id LIMIT 19)) AS names))) AS evidence
FROM differing d
CROSS JOIN LATERAL (SELECT d.market_value / nullif(d.qty * d.mark, 0) AS told) AS size
LEFT JOIN LATERAL (
    -- the mark is wrong where the value makes another one, with which the gain is right
    SELECT jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'broker_positions', 'key', jsonb_build_object(
                   'business_date', d.business_date, 'broker', d.broker, 'account_id', d.account_id,
                   'broker_position_id', d.instrument),
               'row', jsonb_build_object(
                   'mark_price', trim_scale(round(d.market_value / (d.qty * d.multiplier), 8))::text))) AS changes
    WHERE d.broker = 'IB' AND d.off_gain AND d.qty * d.multiplier <> 0
      AND abs(d.market_value - d.told_cost - d.gain) <= d.tolerance
) AS mended ON true
WHERE d.business_date >= %(from_date)s::date
  AND NOT EXISTS (SELECT FROM differing p WHERE p.broker = d.broker AND p.account_id = d.account_id
                  AND p.instrument = d.instrument AND p.n = d.n - 1)
ORDER BY 1, 2, 3, 4
