-- C08. Every corporate action moved each of its instruments by exactly what the broker told for it (the sum of its rows
-- of a day, a reversal taken off; 1e-8 for fractions): neither side may know of a split that the other does not. And
-- every movement has a rule: from those without one on the lots of an instrument, and what closing them gains, are not
-- known, and nothing is guessed.
WITH told AS (
    SELECT broker, account_id, coalesce(broker_action_id || '@' || business_date, action_uid) AS event,
           coalesce(instrument_id, symbol) AS instrument_id, symbol, business_date, qty, action_uid AS uid, description,
           broker_kind
    FROM corporate_actions
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND asset_class NOT IN ('FX', 'COMBO') AND qty <> 0
), moved AS (
    SELECT broker, account_id, coalesce(link_id, movement_uid) AS event, instrument_id, symbol, business_date, qty,
           movement_uid AS uid
    FROM position_movements
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND kind = 'CORPORATE_ACTION'
), differing AS (
    SELECT broker, account_id, event, instrument_id, business_date, max(symbol) AS symbol,
           coalesce(sum(qty) FILTER (WHERE is_told), 0) AS told,
           coalesce(sum(qty) FILTER (WHERE NOT is_told), 0) AS ours,
           count(*) FILTER (WHERE is_told) AS rows_told, count(*) FILTER (WHERE NOT is_told) AS rows_moved,
           max(description) AS description, max(broker_kind) AS broker_kind,
           array_agg(DISTINCT uid ORDER BY uid) AS uids
    FROM (SELECT true AS is_told, broker, account_id, event, instrument_id, symbol, business_date, qty, uid,
                 description, broker_kind
          FROM told
          UNION ALL
          SELECT false, broker, account_id, event, instrument_id, symbol, business_date, qty, uid, NULL, NULL
          FROM moved) AS sides
    GROUP BY 1, 2, 3, 4, 5
)
SELECT broker, account_id, concat_ws(' ', event, instrument_id) AS subject, business_date, trim_scale(told) AS expected,
       trim_scale(ours) AS actual, 'ERROR' AS severity, 'CORP_ACTION' AS cause,
       jsonb_strip_nulls(jsonb_build_object(
           'symbol', symbol, 'instrument_id', instrument_id, 'told', trim_scale(told)::text,
           'moved', trim_scale(ours)::text,
           'rows_told', rows_told, 'rows_moved', rows_moved, 'broker_says', description, 'broker_kind', broker_kind,
           'rows', to_jsonb(uids[1:20]))) AS evidence
FROM differing
WHERE abs(told - ours) > 1e-8
UNION ALL
SELECT broker, account_id, stop_uid, business_date, NULL, NULL, 'ERROR', 'CORP_ACTION',
       jsonb_build_object('symbol', symbol, 'instrument_id', instrument_id, 'reason_code', reason_code,
                          'reason', reason, 'rows', jsonb_build_array(stop_uid))
FROM ledger_stops
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3
