-- D09. The equity that Interactive Brokers tells of every day. Three sums are compared, each within 0.01 as IB's own
-- identities; ours also within what the rounding of the day's rates makes of amounts in other currencies.
-- ' own components': its lines sum to its total, and each line is the sum of its two halves (long and short). A line
--   counts once: `…Component` lines are parts of others, and so may be the sweep to insured banks and the interest on it.
--   The sum only where the query asks for all usual lines. Lines that no rule knows and that make up the difference are
--   new (REFERENCE_DATA).
-- ' cash': its cash is ours at its rates. Not on days of a cash report that disagrees: that check speaks, by currency.
-- ' positions': its lines of positions are what ours are worth at its marks and rates. Only on days of which it tells
--   positions and we hold just these: else the check of positions speaks (IB tells an option that ended on Friday until
--   Monday).
-- ' currency': it is told in the base currency, as the change in value is: the one that the rates of its day lead to.
-- Where our own amounts do agree, but not the sum of them that stands in performance_metrics, the sum is old (PIPELINE).
-- A difference is told on the day on which it appears or changes, and again after 31 days. That of cash moves with rates,
-- so it changed where it moved by more than 5 %%; that of positions moves with prices, so it changed where others differ.
WITH equity AS MATERIALIZED (
    SELECT f.account_id, f.business_date, coalesce(f.currency, p.currency) AS currency, f.figures_uid, f.figures,
           (f.figures ->> 'total')::numeric AS total, (f.figures ->> 'cash')::numeric AS told_cash,
           coalesce((f.figures ->> 'fdicInsuredBankSweepAccount')::numeric, 0) AS swept,
           f.figures ?& ARRAY['cash', 'stock', 'options', 'bonds', 'funds', 'commodities', 'dividendAccruals',
                              'interestAccruals'] AND f.figures ?| ARRAY['notes', 'notesLong'] AS is_whole,
           lines.*, CASE WHEN alone.is_one AND p.currency = coalesce(f.currency, p.currency) THEN p.cash END AS cash,
           CASE WHEN alone.is_one AND p.currency = coalesce(f.currency, p.currency)
                THEN p.positions_value END AS positions_value
    FROM (SELECT *, count(*) OVER (PARTITION BY account_id, business_date) AS of_day FROM broker_figures
          WHERE business_date BETWEEN %(from_date)s::date - 31 AND %(to_date)s AND section = 'EquitySummaryInBase'
            AND broker = 'IB' AND figures ? 'total') AS f
    -- Rows by model beside each other are not ours, which are of the whole account.
    CROSS JOIN LATERAL (SELECT f.of_day = 1 AS is_one) AS alone
    LEFT JOIN performance_metrics p ON p.account_id = f.account_id AND p.business_date = f.business_date
                                   AND p.period = 'DAY' AND p.scope = 'ACCOUNT'
    CROSS JOIN LATERAL (
        SELECT sum(amount) FILTER (WHERE kind IN ('cash', 'accrual', 'position', 'bond')) AS main,
               coalesce(sum(amount) FILTER (WHERE kind = 'position'), 0) AS told_positions,
               coalesce(sum(amount) FILTER (WHERE kind = 'bond'), 0) AS bonds,
               coalesce(sum(amount) FILTER (WHERE kind = 'swept_interest'), 0) AS swept_interest,
               coalesce(sum(amount) FILTER (WHERE kind IS NULL), 0) AS unknown,
               jsonb_object_agg(name, amount::text) FILTER (WHERE kind IS NULL AND amount <> 0) AS unknown_lines,
               jsonb_object_agg(name, amount::text) FILTER (WHERE amount <> 0) AS told_lines
        FROM (
            SELECT line.key AS name, line.value::numeric AS amount, CASE
                       WHEN line.key IN ('cash', 'slbCashCollateral') THEN 'cash'
                       -- `notes` by itself reads as a text in other rows, and may be told in its two halves only
                       WHEN line.key = 'bonds' OR line.key LIKE 'notes%%' THEN 'bond'
                       WHEN line.key IN ('stock', 'slbDirectSecuritiesBorrowed', 'slbDirectSecuritiesLent', 'options',
                                         'funds', 'commodities', 'crypto', 'physDel', 'forexCfdUnrealizedPl',
                                         'cfdUnrealizedPl')
                           THEN 'position'
                       WHEN line.key IN ('dividendAccruals', 'interestAccruals', 'incentiveCouponAccruals', 'softDollars',
                                         'eventContractInterestAccruals', 'marginFinancingChargeAccruals',
                                         'liteSurchargeAccruals', 'ipoSubscription') THEN 'accrual'
                       WHEN line.key = 'fdicInsuredAccountInterestAccruals' THEN 'swept_interest'
                       WHEN line.key IN ('total', 'fdicInsuredBankSweepAccount') THEN 'counted' END AS kind
            FROM jsonb_each_text(f.figures) AS line
            WHERE line.key !~ '(Long|Short|Component)$' OR line.key LIKE 'notes%%' AND NOT f.figures ? 'notes'
        ) AS named
    ) AS lines
), summed AS MATERIALIZED (
    SELECT e.*, way.made, e.unknown <> 0 AND abs(way.made + e.unknown - e.total) <= 0.01 AS is_new, halves.unlike,
           halves.name, halves.told, halves.of_halves,
           NOT e.is_whole OR abs(way.made - e.total) <= 0.01 AS is_closed
    FROM equity e
    CROSS JOIN LATERAL (
        SELECT ways.made FROM (VALUES (e.main), (e.main + e.swept), (e.main + e.swept_interest),
                                      (e.main + e.swept + e.swept_interest)) AS ways (made)
        ORDER BY abs(ways.made - e.total) LIMIT 1
    ) AS way
    CROSS JOIN LATERAL (
        -- Lines that are not the sum of their halves, and the first of them: the total before all others.
        SELECT count(*) AS unlike, (array_agg(name ORDER BY name <> 'total', name))[1] AS name,
               (array_agg(amount ORDER BY name <> 'total', name))[1] AS told,
               (array_agg(of_halves ORDER BY name <> 'total', name))[1] AS of_halves
        FROM (SELECT line.key AS name, line.value::numeric AS amount,
                     (e.figures ->> (line.key || 'Long'))::numeric + (e.figures ->> (line.key || 'Short'))::numeric AS of_halves
              FROM jsonb_each_text(e.figures) AS line
              WHERE line.key !~ '(Long|Short)$') AS twice
        WHERE abs(amount - of_halves) > 0.01
    ) AS halves
), compared AS (
    SELECT account_id, business_date, currency, figures_uid, ' own components' AS what,
           CASE WHEN NOT is_closed OR unlike = 0 THEN total ELSE told END AS expected,
           CASE WHEN NOT is_closed OR unlike = 0 THEN made ELSE of_halves END AS actual, is_new AND unlike = 0 AS is_new
    FROM summed WHERE is_whole OR unlike > 0
    UNION ALL
    -- A row that contradicts itself says nothing about ours.
    SELECT account_id, business_date, currency, figures_uid, ' cash',
           CASE WHEN abs(told_cash + swept - cash) < abs(told_cash - cash) THEN told_cash + swept ELSE told_cash END,
           cash, false
    FROM summed
    WHERE cash IS NOT NULL AND told_cash IS NOT NULL AND unlike = 0 AND (is_closed OR is_new)
    UNION ALL
    SELECT account_id, business_date, currency, figures_uid, ' positions', told_positions, positions_value, false
    FROM summed WHERE positions_value IS NOT NULL AND is_whole AND bonds = 0 AND is_closed AND unlike = 0
), judged AS (
    SELECT c.*, c.actual - c.expected AS difference, ours.amount, ours.parts,
           0.01 + coalesce(ours.rounding, 0) AS tolerance, others.instruments
    FROM compared c
    LEFT JOIN LATERAL (
        -- What ours is the sum of, in its own currencies: asked only where something differs.
        SELECT sum(part.amount * rate.value) AS amount, sum(abs(part.amount) * rate.rounding) AS rounding,
               coalesce(bool_and(rate.value IS NOT NULL), true) AS is_known,
               jsonb_agg(jsonb_build_object('currency', part.currency, 'amount', trim_scale(part.amount)::text,
                                            'rate', rate.value::text) ORDER BY part.currency) AS parts
        FROM (
            SELECT currency, amount FROM (
                SELECT DISTINCT ON (s.currency) s.currency, s.total_cash AS amount FROM cash_account_state s
                WHERE c.what = ' cash' AND abs(c.actual - c.expected) > 0.01 AND s.account_id = c.account_id
                  AND s.as_of <= c.business_date
                ORDER BY s.currency, s.as_of DESC
            ) AS held WHERE amount <> 0
            UNION ALL
            SELECT d.currency, sum(CASE d.asset_class WHEN 'FUTURE' THEN 0 WHEN 'CFD' THEN d.unrealized_pnl
                                   ELSE d.market_value END)
            FROM positions_daily d
            WHERE c.what = ' positions' AND abs(c.actual - c.expected) > 0.01 AND d.business_date = c.business_date
              AND d.account_id = c.account_id
            GROUP BY 1
        ) AS part
        LEFT JOIN LATERAL (
            SELECT 1 AS value, 0 AS rounding WHERE part.currency = c.currency
            UNION ALL
            (SELECT r.rate, 0.5 * power(10::numeric, -greatest(scale(r.rate), 4)) FROM conversion_rates r
             WHERE r.business_date = c.business_date AND r.account_id = c.account_id AND r.from_currency = part.currency
               AND r.to_currency = c.currency AND part.currency <> c.currency LIMIT 1)
        ) AS rate ON true
    ) AS ours ON c.what <> ' own components' AND abs(c.actual - c.expected) > 0.01
    LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(d.instrument_id ORDER BY d.instrument_id), '{}') AS instruments
        FROM positions_daily d
        JOIN broker_positions b ON b.business_date = d.business_date AND b.broker = 'IB' AND b.account_id = d.account_id
                               AND b.broker_position_id = d.instrument_id
        WHERE c.what = ' positions' AND abs(c.actual - c.expected) > 0.01 AND d.business_date = c.business_date
          AND d.account_id = c.account_id AND d.asset_class NOT IN ('FUTURE', 'CFD', 'FX', 'COMBO')
          AND abs(d.market_value - b.market_value) > 0.01
    ) AS others ON true
    WHERE abs(c.actual - c.expected) <= 0.01 OR c.what = ' own components' OR ours.is_known AND CASE c.what
        WHEN ' cash' THEN NOT EXISTS (
            SELECT FROM broker_figures f
            CROSS JOIN LATERAL (
                SELECT s.total_cash FROM cash_account_state s
                WHERE s.account_id = f.account_id AND s.currency = f.currency AND s.as_of <= f.to_date
                ORDER BY s.as_of DESC LIMIT 1
            ) AS state
            WHERE f.section = 'CashReport' AND f.account_id = c.account_id AND f.currency <> 'BASE_SUMMARY'
              AND c.business_date BETWEEN f.from_date AND f.to_date AND f.figures ? 'endingCash'
              AND abs(state.total_cash - (f.figures ->> 'endingCash')::numeric) > 0.01)
        ELSE EXISTS (SELECT FROM positions_raw_ib r
                     WHERE r.account_id = c.account_id AND r.business_date = c.business_date)
             AND NOT EXISTS (
                 SELECT FROM (
                     SELECT d.instrument_id, d.qty FROM positions_daily d
                     WHERE d.business_date = c.business_date AND d.account_id = c.account_id
                       AND d.asset_class NOT IN ('FX', 'COMBO')
                     UNION ALL
                     SELECT b.broker_position_id, -b.qty FROM broker_positions b
                     WHERE b.business_date = c.business_date AND b.broker = 'IB' AND b.account_id = c.account_id
                       AND b.asset_class NOT IN ('FX', 'COMBO')
                 ) AS side
                 GROUP BY instrument_id HAVING abs(sum(qty)) > 1e-8) END
), before AS (
    SELECT *, lag(CASE WHEN abs(difference) > tolerance THEN difference ELSE 0 END) OVER one AS last_difference,
           lag(business_date) OVER one AS last_date, lag(is_new) OVER one AS was_new,
           lag(instruments) OVER one AS last_instruments
    FROM judged
    WINDOW one AS (PARTITION BY account_id, what, replace(figures_uid, business_date::text, '') ORDER BY business_date)
), found AS MATERIALIZED (
    SELECT * FROM before
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND abs(difference) > tolerance
      AND (last_date IS NULL OR last_date < business_date - 31 OR last_difference = 0 OR CASE
               WHEN what = ' positions' THEN instruments <> last_instruments
               WHEN what = ' cash' THEN abs(difference - last_difference) > tolerance + 0.05 * abs(last_difference)
               WHEN is_new THEN NOT was_new
               ELSE abs(difference - last_difference) > tolerance END)
)
SELECT 'IB' AS broker, f.account_id,
       CASE WHEN f.what = ' own components' THEN f.figures_uid ELSE f.account_id END || f.what AS subject,
       f.business_date, trim_scale(f.expected) AS expected, trim_scale(f.actual) AS actual, f.currency,
       CASE WHEN f.is_new THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN f.is_new OR worth.positions IS NOT NULL THEN 'REFERENCE_DATA'
            WHEN abs(f.amount - f.expected) <= f.tolerance THEN 'PIPELINE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'lines', e.told_lines, 'ours', f.parts,
           'line', CASE WHEN f.what = ' own components' AND e.unlike > 0 THEN e.name END,
           'unknown_lines', CASE WHEN f.what = ' own components' THEN e.unknown_lines END,
           'our_cash', trim_scale(e.cash)::text, 'our_positions', trim_scale(e.positions_value)::text,
           'our_lines', own.lines, 'positions', worth.positions, 'booked', booked.entries, 'set_right', mended.changes,
           'rows', jsonb_build_array('broker_figures/' || f.figures_uid)
                   || coalesce(worth.names, '[]') || coalesce(booked.names, '[]'))) AS evidence
FROM found f
JOIN summed e USING (figures_uid)
LEFT JOIN LATERAL (
    -- Where the halves of one or two lines close the sum, these lines are wrong.
    SELECT jsonb_build_array(jsonb_build_object(
               'do', 'update', 'table', 'broker_figures', 'key', jsonb_build_object('figures_uid', f.figures_uid),
               'row', jsonb_build_object('figures', (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(e.figures))
                                                    || jsonb_object_agg(name, of_halves::text)))) AS changes
    FROM (SELECT line.key AS name, line.value::numeric AS amount,
                 (e.figures ->> (line.key || 'Long'))::numeric + (e.figures ->> (line.key || 'Short'))::numeric AS of_halves
          FROM jsonb_each_text(e.figures) AS line
          WHERE line.key !~ '(Long|Short)$') AS twice
    WHERE f.what = ' own components' AND NOT f.is_new AND abs(amount - of_halves) > 0.01
    HAVING count(*) BETWEEN 1 AND 2
       AND abs(e.made - e.total + coalesce(sum(of_halves - amount) FILTER (WHERE name <> 'total'), 0)
               - coalesce(sum(of_halves - amount) FILTER (WHERE name = 'total'), 0)) <= 0.01
) AS mended ON true
LEFT JOIN LATERAL (
    -- Positions whose worth is another one at the broker.
    SELECT jsonb_agg(jsonb_build_object('symbol', symbol, 'qty', trim_scale(qty)::text,
                                        'mark', trim_scale(mark_price)::text, 'theirs', trim_scale(theirs)::text,
                                        'ours', trim_scale(market_value)::text)
                     ORDER BY place) AS positions,
           jsonb_agg(concat_ws('/', 'positions_daily', f.business_date, f.account_id, instrument_id) ORDER BY place)
               AS names
    FROM (SELECT d.*, b.market_value AS theirs,
                 row_number() OVER (ORDER BY abs(d.market_value - b.market_value) DESC, d.instrument_id) AS place
          FROM positions_daily d
          JOIN broker_positions b ON b.business_date = d.business_date AND b.broker = 'IB' AND b.account_id = d.account_id
                                 AND b.broker_position_id = d.instrument_id
          WHERE d.business_date = f.business_date AND d.account_id = f.account_id
            AND d.instrument_id = ANY (f.instruments)
          ORDER BY place LIMIT 15) AS other
) AS worth ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(line, trim_scale(amount)::text) AS lines
    FROM (SELECT CASE d.asset_class WHEN 'OPTION' THEN 'options' WHEN 'STOCK' THEN 'stock' WHEN 'WARRANT' THEN 'stock'
                                    WHEN 'FUND' THEN 'funds' ELSE lower(d.asset_class) END AS line,
                 sum(d.market_value * coalesce((part ->> 'rate')::numeric, 1)) AS amount
          FROM positions_daily d JOIN jsonb_array_elements(f.parts) AS part ON part ->> 'currency' = d.currency
          WHERE f.what = ' positions' AND d.business_date = f.business_date AND d.account_id = f.account_id
          GROUP BY 1) AS by_class
) AS own ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('entry', entry_uid, 'kind', kind, 'currency', currency,
                                        'amount', trim_scale(amount)::text) ORDER BY place) AS entries,
           jsonb_agg(entry_uid ORDER BY place) AS names
    FROM (SELECT l.*, row_number() OVER (ORDER BY abs(abs(l.amount) - abs(f.difference)), l.entry_uid) AS place
          FROM cash_ledger l
          WHERE f.what = ' cash' AND abs(f.amount - f.expected) > f.tolerance AND l.account_id = f.account_id
            AND l.booked_on BETWEEN f.business_date - 3 AND f.business_date
          ORDER BY place LIMIT 15) AS nearest
) AS booked ON true
UNION ALL
SELECT 'IB', f.account_id, f.figures_uid || ' currency', f.business_date, NULL, NULL, f.currency, 'ERROR',
       'REFERENCE_DATA',
       jsonb_build_object(
           'section', f.section, 'currency', f.currency, 'base_currency', rates.base,
           'rows', jsonb_build_array('broker_figures/' || f.figures_uid), 'set_right', jsonb_build_array(
               jsonb_build_object('do', 'update', 'table', 'broker_figures',
                                  'key', jsonb_build_object('figures_uid', f.figures_uid),
                                  'row', jsonb_build_object('business_date', f.business_date, 'currency', rates.base))))
FROM broker_figures f
JOIN LATERAL (
    SELECT min(r.to_currency) AS base FROM conversion_rates r
    WHERE r.account_id = f.account_id AND r.broker = f.broker AND r.business_date = f.business_date
    HAVING count(DISTINCT r.to_currency) = 1
) AS rates ON rates.base <> f.currency
WHERE f.business_date BETWEEN %(from_date)s AND %(to_date)s AND f.broker = 'IB'
  AND f.section IN ('EquitySummaryInBase', 'ChangeInNAV')
ORDER BY 2, 4, 3
