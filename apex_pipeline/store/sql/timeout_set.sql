-- `before` is read first: what is selected is computed from left to right.
SELECT current_setting('statement_timeout') AS before, set_config('statement_timeout', %(milliseconds)s, true) AS now
