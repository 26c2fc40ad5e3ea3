UPDATE portfolio_state
SET closed_equity = closed_equity + %(earned)s, version = version + 1, updated_at = clock_timestamp()
WHERE id = 1
RETURNING *
