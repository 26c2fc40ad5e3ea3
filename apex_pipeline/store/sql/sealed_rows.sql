-- Rows of an account-day of a sealed table, whatever their columns.
SELECT row FROM sealed_rows(%(table_name)s, %(account_id)s, %(business_date)s) AS row
