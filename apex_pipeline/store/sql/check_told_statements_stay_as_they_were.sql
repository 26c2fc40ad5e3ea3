-- A04. What a final statement of Interactive Brokers told of a trade or a booking of cash, a later one tells again, and
-- the same. A statement is final for a day if it was made at least six hours after the end of that day in New York;
-- before that its rows may still change. One finding per record, on the day of the record as it stands now: the newest
-- final version that differs from it. Cause CORRECTION: the broker changed its word, and our rows follow the newest
-- one.
-- * Compared is what the business is: instrument, side, quantity, price, money, currency, days. Not what a statement
--   computes (cost, realized and marked gain, rates), not words (descriptions, notes, codes), and no field that one of
--   the two queries leaves out. What could not be read as a number stood in quarantine. Numbers are equal as numbers,
--   dates only where both are written alike: an account may choose another format.
-- * A field that was blank and is filled later (also netCash, which is 0 on the day of a trade) is a warning: it adds.
-- * A record is gone if a later statement of the same query, which lists that section, tells the days of the load that
--   told it (or the day of the trade and the day of its report) without it. Not compared: records without an id of
--   IB's, whose identity is their content; rows that stand in quarantine; statements whose days do not count as told.
WITH compared (table_name, place, field, kind) AS (
    -- kind: n number, d day or moment, w word; place: which change is the figure of the finding
    VALUES ('trades_raw_ib', 1, 'quantity', 'n'), ('trades_raw_ib', 2, 'tradePrice', 'n'),
           ('trades_raw_ib', 3, 'proceeds', 'n'), ('trades_raw_ib', 4, 'tradeMoney', 'n'),
           ('trades_raw_ib', 5, 'netCash', 'n'), ('trades_raw_ib', 6, 'ibCommission', 'n'),
           ('trades_raw_ib', 7, 'taxes', 'n'), ('trades_raw_ib', 8, 'multiplier', 'n'),
           ('trades_raw_ib', 9, 'strike', 'n'), ('trades_raw_ib', 10, 'conid', 'w'),
           ('trades_raw_ib', 11, 'buySell', 'w'), ('trades_raw_ib', 12, 'putCall', 'w'),
           ('trades_raw_ib', 13, 'currency', 'w'), ('trades_raw_ib', 14, 'ibCommissionCurrency', 'w'),
           ('trades_raw_ib', 15, 'transactionType', 'w'), ('trades_raw_ib', 16, 'tradeDate', 'd'),
           ('trades_raw_ib', 17, 'dateTime', 'd'), ('trades_raw_ib', 18, 'settleDateTarget', 'd'),
           ('trades_raw_ib', 19, 'expiry', 'd'), ('cash_raw_ib', 1, 'amount', 'n'),
           ('cash_raw_ib', 2, 'currency', 'w'), ('cash_raw_ib', 3, 'type', 'w'), ('cash_raw_ib', 4, 'reportDate', 'd'),
           ('cash_raw_ib', 5, 'dateTime', 'd'), ('cash_raw_ib', 6, 'settleDate', 'd')
), versions AS (
    SELECT v.table_name, v.version_id, v.account_id, v.record_key, r.business_date, v.payload AS before,
        r.payload AS after,
           v.generated_at AS told_at, r.generated_at AS retold_at, v.load_id AS told_by, r.load_id AS retold_by
    FROM trades_raw_ib r
    JOIN raw_versions v ON v.table_name = 'trades_raw_ib' AND v.account_id = r.account_id
        AND v.record_key = r.record_key
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s AND v.generated_at < r.generated_at
      AND v.generated_at > (v.business_date + 1)::timestamp AT TIME ZONE 'America/New_York' + interval '6 hours'
    UNION ALL
    SELECT v.table_name, v.version_id, v.account_id, v.record_key, r.business_date, v.payload, r.payload,
        v.generated_at,
           r.generated_at, v.load_id, r.load_id
    FROM cash_raw_ib r
    JOIN raw_versions v ON v.table_name = 'cash_raw_ib' AND v.account_id = r.account_id AND v.record_key = r.record_key
    WHERE r.business_date BETWEEN %(from_date)s AND %(to_date)s AND v.generated_at < r.generated_at
      AND v.generated_at > (v.business_date + 1)::timestamp AT TIME ZONE 'America/New_York' + interval '6 hours'
), differing AS (
    SELECT v.version_id, c.place, c.field, c.kind, word.before, word.after, number.before AS number_before,
           number.after AS number_after, word.before_is_blank OR (c.field = 'netCash' AND number.before = 0) AS adds
    FROM versions v
    JOIN compared c USING (table_name)
    CROSS JOIN LATERAL (
        SELECT before, after, before ~ '^(-{0,2}|N/A|MULTI)$' AS before_is_blank,
            after ~ '^(-{0,2}|N/A|MULTI)$' AS after_is_blank
        FROM (SELECT btrim(v.before ->> c.field) AS before, btrim(v.after ->> c.field) AS after) AS trimmed
    ) AS word
    CROSS JOIN LATERAL (
        SELECT CASE WHEN word.before ~ shape THEN replace(word.before, ',', '')::numeric END AS before,
               CASE WHEN word.after ~ shape THEN replace(word.after, ',', '')::numeric END AS after
        FROM (VALUES ('^[-+]?([0-9][0-9,]*[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?$')) AS numbers (shape)
    ) AS number
    WHERE word.before <> word.after AND NOT (word.before_is_blank AND word.after_is_blank)
      AND CASE c.kind
              WHEN 'n' THEN coalesce(number.before <> number.after, word.before_is_blank OR word.after_is_blank)
              WHEN 'd' THEN word.before_is_blank OR word.after_is_blank
                            OR (regexp_replace(word.before, '[0-9]', '9', 'g')
                                = regexp_replace(word.after, '[0-9]', '9', 'g')
                                AND v.before -> '_dates' IS NOT DISTINCT FROM v.after -> '_dates')
              ELSE upper(word.before) <> upper(word.after) END
), changed AS (
    SELECT DISTINCT ON (v.table_name, v.account_id, v.record_key)
           v.*, d.changes, d.only_adds, d.field, d.expected, d.actual
    FROM versions v
    JOIN (SELECT version_id, bool_and(adds) AS only_adds,
                 jsonb_agg(jsonb_build_object('field', field, 'told', before, 'later', after)
                           ORDER BY place) AS changes,
                 (array_agg(field ORDER BY place) FILTER (WHERE kind = 'n'))[1] AS field,
                 (array_agg(number_before ORDER BY place) FILTER (WHERE kind = 'n'))[1] AS expected,
                 (array_agg(number_after ORDER BY place) FILTER (WHERE kind = 'n'))[1] AS actual
          FROM differing GROUP BY 1) AS d USING (version_id)
    ORDER BY v.table_name, v.account_id, v.record_key, v.told_at DESC, v.version_id DESC
), statements AS MATERIALIZED (
    SELECT account_id, payload ->> 'query' AS query, generated_at, load_id, business_date AS last_day,
           substring(record_key FROM '/([0-9]{4}-[0-9]{2}-[0-9]{2})/[0-9]{4}-[0-9]{2}-[0-9]{2}$')::date AS first_day,
           payload -> 'sections' ?| ARRAY['Trades', 'Trade'] AS tells_trades,
           payload -> 'sections' ? 'CashTransactions' AS tells_cash
    FROM sections_raw_ib
    WHERE payload ->> '_section' = '_query' AND business_date >= %(from_date)s
), newest AS MATERIALIZED (
    -- When each day was last told; U1234567F is the futures segment of U1234567, whose statements tell of both.
    SELECT own.account_id, s.account_id AS told_as, day::date AS on_date,
           max(s.generated_at) FILTER (WHERE s.tells_trades) AS trades_at,
           max(s.generated_at) FILTER (WHERE s.tells_cash) AS cash_at
    FROM statements s
    CROSS JOIN LATERAL generate_series(greatest(s.first_day, %(from_date)s::date), least(s.last_day, %(to_date)s::date),
                                       interval '1 day') AS day
    CROSS JOIN LATERAL (VALUES (s.account_id), (s.account_id || 'F')) AS own (account_id)
    GROUP BY 1, 2, 3
), untold AS MATERIALIZED (
    SELECT 'trades_raw_ib' AS table_name, r.account_id, n.told_as, r.record_key, r.business_date, r.payload,
        r.generated_at,
           r.load_id
    FROM newest n JOIN trades_raw_ib r ON r.account_id = n.account_id AND r.business_date = n.on_date
    WHERE r.generated_at < n.trades_at AND r.record_key !~ '^H[0-9a-f]{16}-'
      AND r.generated_at > (r.business_date + 1)::timestamp AT TIME ZONE 'America/New_York' + interval '6 hours'
    UNION ALL
    SELECT 'cash_raw_ib', r.account_id, n.told_as, r.record_key, r.business_date, r.payload, r.generated_at, r.load_id
    FROM newest n JOIN cash_raw_ib r ON r.account_id = n.account_id AND r.business_date = n.on_date
    WHERE r.generated_at < n.cash_at AND r.record_key !~ '^H[0-9a-f]{16}-'
      AND r.generated_at > (r.business_date + 1)::timestamp AT TIME ZONE 'America/New_York' + interval '6 hours'
), names AS MATERIALIZED (
    -- accounts whose statements are all of one query
    SELECT account_id, min(query) AS query FROM sections_raw_ib
    CROSS JOIN LATERAL (SELECT payload ->> 'query' AS query) AS named
    WHERE payload ->> '_section' = '_query' AND account_id IN (SELECT told_as FROM untold)
    GROUP BY 1 HAVING count(DISTINCT query) = 1
), gone AS (
    SELECT u.*, s.first_day, s.last_day, s.query, s.generated_at AS retold_at
    FROM untold u
    JOIN loads l USING (load_id)
    CROSS JOIN LATERAL (
        SELECT regexp_replace(left(u.payload ->> 'tradeDate', 10), '-', '', 'g') AS traded,
               regexp_replace(left(u.payload ->> 'reportDate', 10), '-', '', 'g') AS reported
    ) AS day
    CROSS JOIN LATERAL (
        SELECT s.first_day, s.last_day, s.query, s.generated_at
        FROM statements s
        WHERE s.account_id = u.told_as AND s.generated_at > u.generated_at
          AND u.business_date BETWEEN s.first_day AND s.last_day
          AND CASE u.table_name WHEN 'trades_raw_ib' THEN s.tells_trades ELSE s.tells_cash END
          AND (EXISTS (SELECT FROM names n WHERE n.account_id = u.told_as)
               OR s.query IN (SELECT t.query FROM statements t
                              WHERE t.account_id = u.told_as AND t.load_id = u.load_id))
          AND ((s.first_day <= l.from_date AND s.last_day >= l.to_date)
               OR (left(day.reported, 8) BETWEEN to_char(s.first_day, 'YYYYMMDD') AND to_char(s.last_day, 'YYYYMMDD')
                   AND (u.table_name = 'cash_raw_ib'
                        OR left(day.traded, 8) BETWEEN to_char(s.first_day, 'YYYYMMDD')
                                                   AND to_char(s.last_day, 'YYYYMMDD'))))
        ORDER BY s.generated_at DESC, s.first_day LIMIT 1
    ) AS s
    WHERE EXISTS (SELECT FROM load_coverage c
                  WHERE c.broker = 'IB' AND c.data_type = 'ib_flex' AND c.account_id = u.told_as
                    AND u.business_date BETWEEN c.from_date AND c.to_date AND c.covered_at > u.generated_at)
      AND NOT EXISTS (SELECT FROM quarantine q
                      WHERE q.broker = 'IB' AND q.stage = 'ingest' AND q.account_id = u.account_id
                          AND q.resolved_at IS NULL
                        AND q.kind = CASE u.table_name WHEN 'trades_raw_ib' THEN 'trades' ELSE 'cash' END
                        AND coalesce(q.broker_key, u.record_key) = u.record_key)
), found AS (
    -- what is gone was changed before it went, or not
    SELECT table_name, account_id, record_key, business_date, after AS payload, told_at, retold_at, told_by,
        'changed' AS what,
           expected, actual, field, only_adds, jsonb_build_object('changes', changes) AS more
    FROM changed c
    WHERE NOT EXISTS (SELECT FROM gone g
                      WHERE (g.table_name, g.account_id, g.record_key) = (c.table_name, c.account_id, c.record_key))
    UNION ALL
    SELECT table_name, account_id, record_key, business_date, payload, generated_at, retold_at, load_id, 'gone',
           CASE WHEN word ~ '^[-+]?[0-9]+([.][0-9]*)?$' THEN word::numeric END, 0, field, false,
           jsonb_build_object('missing_in', jsonb_build_object('query', query, 'from', first_day, 'to', last_day))
    FROM gone
    CROSS JOIN LATERAL (SELECT CASE table_name WHEN 'trades_raw_ib' THEN 'quantity' ELSE 'amount' END AS field) AS named
    CROSS JOIN LATERAL (SELECT replace(payload ->> field, ',', '') AS word) AS told
)
SELECT 'IB' AS broker, f.account_id, f.table_name || '/' || f.account_id || '/' || f.record_key AS subject,
    f.business_date,
       f.expected, f.actual, CASE WHEN f.only_adds THEN 'WARN' ELSE 'ERROR' END AS severity, 'CORRECTION' AS cause,
       CASE WHEN f.field IN ('amount', 'proceeds', 'tradeMoney', 'netCash', 'ibCommission', 'taxes')
            THEN f.payload ->> 'currency' END AS currency,
       jsonb_strip_nulls(jsonb_build_object(
           'what', f.what, 'symbol', coalesce(ours.symbol, nullif(f.payload ->> 'symbol', '')),
           'description', nullif(f.payload ->> 'description', ''), 'buy_sell', f.payload ->> 'buySell',
           'quantity', f.payload ->> 'quantity', 'price', f.payload ->> 'tradePrice',
           'type', f.payload ->> 'type', 'amount', f.payload ->> 'amount', 'currency', f.payload ->> 'currency',
           'told_at', f.told_at, 'retold_at', f.retold_at,
           -- the newest word of the broker is that there is no such row; else its first word is tried, because what
           -- then agrees follows from the other one
           'set_right', CASE f.what WHEN 'gone' THEN nullif(ours.removals, '[]') ELSE first.word END
       )) || f.more || jsonb_build_object('rows', coalesce(ours.uids, '[]')) AS evidence
FROM found f
CROSS JOIN LATERAL (
    SELECT jsonb_agg(uid ORDER BY uid) FILTER (WHERE stored <> 'fees_norm') AS uids, min(symbol) AS symbol,
           jsonb_agg(jsonb_build_object('do', 'delete', 'table', stored, 'key', jsonb_build_object(key, uid))
                     ORDER BY stored, uid) AS removals
    FROM (SELECT 'trades_norm' AS stored, 'trade_uid' AS key, t.trade_uid AS uid, t.symbol FROM trades_norm t
          WHERE f.table_name = 'trades_raw_ib'
            AND (t.broker, t.account_id, t.broker_trade_id) = ('IB', f.account_id, f.record_key)
          UNION ALL
          SELECT 'fees_norm', 'fee_uid', e.fee_uid, NULL FROM trades_norm t JOIN fees_norm e USING (trade_uid)
          WHERE f.table_name = 'trades_raw_ib'
            AND (t.broker, t.account_id, t.broker_trade_id) = ('IB', f.account_id, f.record_key)
          UNION ALL
          SELECT 'cash_movements', 'cash_uid', m.cash_uid, m.symbol FROM cash_movements m
          WHERE m.cash_uid = ANY (CASE f.table_name
              WHEN 'cash_raw_ib' THEN ARRAY['IB_' || f.account_id || '_C' || f.record_key]
              -- the two legs of a conversion
              ELSE ARRAY['IB_' || f.account_id || '_T' || f.record_key || '_BASE',
                         'IB_' || f.account_id || '_T' || f.record_key || '_QUOTE'] END)
         ) AS stored_rows
) AS ours
CROSS JOIN LATERAL (
    -- every field that was changed, as it was told first; NULL if one of them makes no single column
    SELECT CASE WHEN bool_and(change.rows IS NOT NULL) THEN jsonb_path_query_array(jsonb_agg(change.rows),
        '$[*][*]') END AS word
    FROM jsonb_to_recordset(f.more -> 'changes') AS c (field text, told text, later text)
    CROSS JOIN LATERAL (SELECT replace(c.told, ',', '') AS number, replace(c.later, ',', '') AS later_number) AS plain
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(made.row) AS rows FROM (
            SELECT jsonb_build_object(
                       'do', 'update', 'table', 'trades_norm', 'key', jsonb_build_object('trade_uid', t.trade_uid),
                       'row', CASE c.field
                           WHEN 'tradePrice' THEN jsonb_build_object(
                               'trade_date', t.trade_date, 'price', number,
                               'amount', trim_scale(t.qty * number::numeric * t.multiplier)::text)
                           WHEN 'quantity' THEN jsonb_build_object(
                               'trade_date', t.trade_date, 'qty', trim_scale(abs(number::numeric))::text,
                               'amount', trim_scale(abs(number::numeric) * t.price * t.multiplier)::text)
                           WHEN 'settleDateTarget' THEN jsonb_build_object(
                               'trade_date', t.trade_date, 'settle_date', day.told)
                           ELSE jsonb_build_object('trade_date', day.told) END) AS row
            FROM trades_norm t CROSS JOIN (SELECT to_date(left(replace(c.told, '-', ''), 8), 'YYYYMMDD') AS told
                                           WHERE c.field IN ('tradeDate', 'settleDateTarget')
                                             AND replace(c.told, '-', '') ~ '^20[0-9]{6}'
                                           UNION ALL SELECT NULL WHERE c.field IN ('tradePrice', 'quantity')) AS day
            WHERE f.table_name = 'trades_raw_ib'
              AND (t.broker, t.account_id, t.broker_trade_id) = ('IB', f.account_id, f.record_key)
              AND (day.told IS NOT NULL OR number ~ '^-?[0-9]+([.][0-9]+)?$')
            UNION ALL
            SELECT jsonb_build_object(
                       'do', 'update', 'table', 'fees_norm', 'key', jsonb_build_object('fee_uid', e.fee_uid),
                       'row', jsonb_build_object(
                           'charged_on', e.charged_on,
                           'amount', trim_scale(e.amount + later_number::numeric - number::numeric)::text))
            FROM fees_norm e
            WHERE f.table_name = 'trades_raw_ib' AND c.field = 'ibCommission'
              AND number ~ '^-?[0-9]+([.][0-9]+)?$' AND later_number ~ '^-?[0-9]+([.][0-9]+)?$'
              AND e.fee_uid = concat_ws('_', 'IB', f.account_id, f.record_key, 'COMMISSION')
            UNION ALL
            SELECT jsonb_build_object(
                       'do', 'update', 'table', 'broker_trade_figures',
                       'key', jsonb_build_object('trade_uid', g.trade_uid), 'row', jsonb_build_object(
                           CASE c.field WHEN 'proceeds' THEN 'proceeds' ELSE 'net_cash' END, number))
            FROM trades_norm t JOIN broker_trade_figures g USING (trade_uid)
            WHERE f.table_name = 'trades_raw_ib' AND c.field IN ('proceeds', 'netCash')
              AND number ~ '^-?[0-9]+([.][0-9]+)?$'
              AND (t.broker, t.account_id, t.broker_trade_id) = ('IB', f.account_id, f.record_key)
            UNION ALL
            SELECT jsonb_build_object(
                       'do', 'update', 'table', 'cash_movements', 'key', jsonb_build_object('cash_uid', m.cash_uid),
                       'row', jsonb_build_object('booked_on', m.booked_on, 'amount', number))
            FROM cash_movements m
            WHERE f.table_name = 'cash_raw_ib' AND c.field = 'amount' AND number ~ '^-?[0-9]+([.][0-9]+)?$'
              AND m.cash_uid = 'IB_' || f.account_id || '_C' || f.record_key
        ) AS made
    ) AS change
) AS first
ORDER BY 2, 4, 3
