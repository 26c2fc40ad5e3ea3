-- From here on triggers note which account-days of which sealed tables this transaction writes.
SET LOCAL apex.stage = 'on';
CREATE TEMPORARY TABLE IF NOT EXISTS written_days (
    table_name text COLLATE "C", account_id text COLLATE "C", business_date date,
    PRIMARY KEY (table_name, account_id, business_date)
) ON COMMIT DROP
