-- The account-days that are asked or have changed, in `due`; returns their accounts.
CREATE TEMPORARY TABLE due (
    broker text COLLATE "C", account_id text COLLATE "C", business_date date, was_dirty boolean
) ON COMMIT DROP;
-- The marks go first: what commits after this line marks its days again.
WITH taken AS (
    DELETE FROM dirty_days WHERE stage = 'match' RETURNING broker, account_id, business_date
), asked AS (
    SELECT broker, account_id, trade_date AS business_date FROM trades_norm
    WHERE trade_date BETWEEN %(from_date)s AND %(to_date)s
    UNION SELECT broker, account_id, business_date FROM corporate_actions
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
    UNION SELECT broker, account_id, business_date FROM transfers
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
    UNION SELECT broker, account_id, business_date FROM position_movements
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
)
INSERT INTO due
SELECT broker, account_id, business_date, bool_or(was_dirty)
FROM (SELECT *, true AS was_dirty FROM taken UNION ALL SELECT *, false FROM asked) AS days
GROUP BY broker, account_id, business_date;
CREATE UNIQUE INDEX ON due (account_id, business_date, broker);
ANALYZE due;
SELECT DISTINCT account_id FROM due ORDER BY account_id
