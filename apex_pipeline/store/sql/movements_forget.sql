-- What moved the positions of these accounts: matching finds it anew on all of their days, and makes lots and positions again.
WITH gone AS (
    DELETE FROM position_movements WHERE account_id = ANY (%(accounts)s) RETURNING broker, account_id, business_date
)
INSERT INTO dirty_days (stage, broker, account_id, business_date)
SELECT DISTINCT 'match', broker, account_id, business_date FROM gone
ON CONFLICT DO NOTHING
