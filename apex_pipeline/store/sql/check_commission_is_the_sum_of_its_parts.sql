-- B08. UnbundledCommissionDetail breaks the commission of a trade (by tradeID) down: its six charges sum to its
-- totalCommission, to half of 1e-6 for each of the numbers that IB rounds; and the total is, to 1e-6, what our fees of
-- all rows of that tradeID are (a rebook repeats it and is charged nothing), with or without what a cancel of them gave
-- back. What begins with `reg` is a part of the regulatory charge and not added again. A commission in another currency
-- than its parts is not compared, unless the line of funds of its trade has it in the currency of the parts: then its
-- row names the wrong one. A trade whose commission is blank although its parts are told lacks its fee.
-- Of the three, parts, total and commission, two that agree are right.
WITH parts AS (
    SELECT s.account_id, btrim(s.payload ->> 'tradeID') AS trade_id, s.record_key, s.business_date,
           nullif(btrim(s.payload ->> 'currency'), '') AS currency, n.*
    FROM sections_raw_ib s
    CROSS JOIN LATERAL (
        SELECT max(number) FILTER (WHERE name = 'totalCommission') AS total,
               coalesce(sum(number) FILTER (WHERE name <> 'totalCommission'), 0) AS charged,
               count(*) FILTER (WHERE number <> 0) AS numbers, jsonb_object_agg(name, word) AS words
        FROM (
            SELECT name, word, CASE WHEN btrim(word) ~ '^[-+]?\d+\.?\d*$' THEN word::numeric END AS number
            FROM jsonb_each_text(s.payload) AS field (name, word)
            WHERE name IN ('totalCommission', 'brokerExecutionCharge', 'brokerClearingCharge',
                           'thirdPartyExecutionCharge', 'thirdPartyClearingCharge', 'thirdPartyRegulatoryCharge',
                           'other')
        ) AS field
    ) AS n
    WHERE s.record_key > 'UnbundledCommissionDetails/' AND s.record_key < 'UnbundledCommissionDetails0'
      AND s.business_date BETWEEN %(from_date)s::date - 3 AND %(to_date)s::date + 3
      AND btrim(s.payload ->> 'tradeID') <> '' AND n.total IS NOT NULL
), told AS MATERIALIZED (
    SELECT account_id, trade_id, sum(total) AS total, sum(charged) AS charged, sum(numbers) AS numbers,
           min(currency) AS currency, jsonb_agg(words) AS words, count(*) > count(DISTINCT words) AS is_repeated,
           jsonb_agg(concat_ws('/', 'sections_raw_ib', account_id, record_key) ORDER BY record_key) AS names
    FROM parts GROUP BY 1, 2
), charged AS (
    -- the rows of each of these trades: what IB says, and what our fees of them are
    SELECT t.account_id, t.trade_id, min(f.business_date) AS business_date, sum(f.commission) AS commission,
           min(f.currency) AS currency, sum(o.ours) AS ours,
           (array_agg(f.record_key ORDER BY f.commission = 0, length(f.record_key), f.record_key))[1] AS record_key
    FROM told t
    JOIN LATERAL (
        SELECT r.account_id, r.record_key, r.business_date,
               coalesce(nullif(btrim(r.payload ->> 'ibCommissionCurrency'), ''), btrim(r.payload ->> 'currency'))
                   AS currency,
               CASE WHEN btrim(r.payload ->> 'ibCommission') ~ '^[-+]?\d+\.?\d*$'
                    THEN btrim(r.payload ->> 'ibCommission')::numeric END AS commission
        FROM fees_raw_ib r WHERE r.account_id = t.account_id AND btrim(r.payload ->> 'tradeID') = t.trade_id
    ) AS f ON true
    CROSS JOIN LATERAL (
        SELECT sum(amount) AS ours FROM fees_norm
        WHERE fee_uid > concat_ws('_', 'IB', f.account_id, f.record_key, '') AND trade_uid IS NOT NULL
          AND fee_uid < concat_ws('_', 'IB', f.account_id, f.record_key, '~')
    ) AS o
    GROUP BY 1, 2
), compared AS (
    SELECT t.*, c.commission, c.ours, c.record_key, c.business_date, back.amount AS given_back,
           abs(t.total - t.charged) > t.numbers * 0.5e-6 AS off_parts,
           c.currency <> t.currency AND t.total <> 0 AND abs(t.total + c.ours) <= 1e-6 AND EXISTS (
               SELECT FROM broker_funds l
               JOIN trades_norm n ON n.broker = 'IB' AND n.account_id = l.account_id
                                 AND n.broker_trade_id = l.broker_transaction_id
               JOIN broker_trade_figures f USING (trade_uid)
               WHERE l.account_id = t.account_id AND l.broker_transaction_id = c.record_key AND l.level = 'Currency'
                 AND l.currency = t.currency AND l.from_date IS NULL
                 AND l.business_date BETWEEN c.business_date - 7 AND c.business_date + 7
                 AND abs(l.amount - f.proceeds - t.total + coalesce((
                         SELECT sum(x.amount) FROM fees_norm x
                         WHERE x.fee_uid > concat_ws('_', 'IB', c.account_id, c.record_key, '')
                           AND x.fee_uid < concat_ws('_', 'IB', c.account_id, c.record_key, '~')
                           AND x.trade_uid IS NULL), 0)) <= 0.005) AS off_currency,
           EXISTS (SELECT FROM fees_norm x
                   WHERE x.fee_uid > concat_ws('_', 'IB', c.account_id, c.record_key, '') AND x.trade_uid IS NOT NULL
                     AND x.fee_uid < concat_ws('_', 'IB', c.account_id, c.record_key, '~')
                     AND x.currency <> t.currency) AS is_elsewhere,
           c.currency = t.currency AND t.total <> 0 AND c.ours IS NULL AS is_blank,
           c.currency = t.currency AND abs(t.total + c.ours) > 1e-6
               AND abs(t.total + c.ours - coalesce(back.amount, 0)) > 1e-6 AS off_ours
    FROM told t
    JOIN charged c USING (account_id, trade_id)
    LEFT JOIN LATERAL (
        SELECT sum(btrim(r.payload ->> 'ibCommission')::numeric) AS amount FROM trades_raw_ib r
        WHERE r.account_id = t.account_id AND btrim(r.payload ->> 'origTradeID') = t.trade_id
          AND btrim(r.payload ->> 'ibCommission') ~ '^[-+]?\d+\.?\d*$'
    ) AS back ON t.total <> -c.ours
    WHERE c.business_date BETWEEN %(from_date)s AND %(to_date)s
)
SELECT 'IB' AS broker, f.account_id, coalesce(t.trade_uid, 'tradeID ' || f.trade_id) AS subject, f.business_date,
       trim_scale(-f.total) AS expected,
       trim_scale(CASE WHEN f.is_blank THEN NULL WHEN f.off_currency THEN 0 WHEN f.off_ours THEN f.ours
                       ELSE -f.charged END) AS actual,
       'ERROR' AS severity, f.currency,
       CASE WHEN f.is_blank AND f.commission IS NULL THEN 'MISSING_B' WHEN f.is_blank THEN 'PIPELINE'
            WHEN f.off_currency THEN 'FX' WHEN f.off_ours AND f.is_repeated THEN 'DUPLICATE'
            WHEN f.off_ours AND abs(f.commission + f.ours) > 1e-6 THEN 'PIPELINE' END AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'tradeID', f.trade_id, 'symbol', t.symbol, 'order_uid', t.order_uid, 'parts', f.words,
           'totalCommission', f.total::text, 'sum_of_parts', f.charged::text, 'ibCommission', f.commission::text,
           'given_back', f.given_back::text, 'our_fees', f.ours::text,
           'doubted', CASE WHEN f.is_blank AND f.commission IS NULL THEN 'ibCommission' WHEN f.is_blank THEN 'our fees'
                           WHEN f.off_currency THEN 'ibCommissionCurrency' WHEN NOT f.off_ours THEN 'parts'
                           WHEN abs(f.commission + f.ours) > 1e-6 THEN 'our fees'
                           WHEN f.is_repeated OR abs(f.charged - f.commission) <= f.numbers * 0.5e-6 + 1e-6
                               THEN 'totalCommission'
                           WHEN NOT f.off_parts THEN 'ibCommission' END,
           'rows', to_jsonb(array_remove(ARRAY[t.trade_uid, concat_ws('/', 'fees_raw_ib', f.account_id, f.record_key)],
                                         NULL)) || jsonb_path_query_array(f.names, '$[0 to 9]'),
           'set_right', CASE WHEN f.is_blank THEN blank.rows WHEN f.off_currency THEN moved.rows
                             WHEN NOT f.off_parts THEN surplus.rows END)) AS evidence
FROM compared f
LEFT JOIN trades_norm t ON t.broker = 'IB' AND t.account_id = f.account_id AND t.broker_trade_id = f.record_key
LEFT JOIN LATERAL (
    -- our fees are the parts and what they leave of the commission: where that is wrong, it is wrong by this remainder
    SELECT jsonb_agg(jsonb_build_object('do', 'delete', 'table', 'fees_norm',
                                        'key', jsonb_build_object('fee_uid', n.fee_uid))) AS rows
    FROM fees_norm n
    WHERE n.fee_uid = concat_ws('_', 'IB', f.account_id, f.record_key, 'UNALLOCATED')
      AND abs(f.ours - n.amount + f.total) <= 1e-6
) AS surplus ON f.off_ours
LEFT JOIN LATERAL (
    SELECT jsonb_build_array(jsonb_build_object(
        'do', 'insert', 'table', 'fees_norm',
        'row', jsonb_strip_nulls(jsonb_build_object(
            'fee_uid', concat_ws('_', 'IB', f.account_id, f.record_key, 'COMMISSION'), 'order_uid', t.order_uid,
            'trade_uid', t.trade_uid, 'broker', 'IB', 'account_id', f.account_id, 'fee_type', 'COMMISSION',
            'broker_fee_name', 'ibCommission', 'amount', trim_scale(-f.total)::text, 'currency', f.currency,
            'charged_on', f.business_date)))) AS rows
    WHERE t.trade_uid IS NOT NULL
) AS blank ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'do', 'update', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', n.fee_uid),
               'row', jsonb_build_object('currency', f.currency))) AS rows
    FROM fees_norm n
    WHERE n.fee_uid > concat_ws('_', 'IB', f.account_id, f.record_key, '') AND n.trade_uid IS NOT NULL
      AND n.fee_uid < concat_ws('_', 'IB', f.account_id, f.record_key, '~') AND n.currency <> f.currency
) AS moved ON f.off_currency
WHERE f.off_parts OR f.off_ours OR f.is_blank OR f.off_currency AND f.is_elsewhere
ORDER BY 3
