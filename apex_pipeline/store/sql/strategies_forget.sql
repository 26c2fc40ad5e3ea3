-- What these accounts' strategies were made of: they are classified and told again.
WITH families AS (DELETE FROM strategy_families WHERE account_id = ANY (%(accounts)s))
DELETE FROM told_families WHERE account_id = ANY (%(accounts)s)
