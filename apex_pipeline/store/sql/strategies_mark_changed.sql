-- Results by strategy and the checks follow from the first order that is named otherwise now: of the rows that this
-- transaction wrote, and of those that it removed.
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT stage, %(broker)s, %(account_id)s, first_day
FROM (
    SELECT min(day) AS first_day FROM (
        SELECT m.trade_date AS day FROM order_strategy_map m
        WHERE m.account_id = %(account_id)s AND m.xmin = pg_current_xact_id()::xid
        UNION ALL SELECT %(removed_on)s::date
    ) AS days
) AS changed, unnest(ARRAY['value', 'reconcile']) AS stage
WHERE first_day IS NOT NULL
ON CONFLICT DO NOTHING
