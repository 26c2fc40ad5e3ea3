-- One row comes back where the word is new; saying the same again changes nothing.
INSERT INTO account_rules AS r (account_id, rule, from_date, value, set_at)
VALUES (%(account_id)s, %(rule)s, %(from_date)s, %(value)s, clock_timestamp())
ON CONFLICT (account_id, rule, from_date) DO UPDATE SET value = EXCLUDED.value, set_at = EXCLUDED.set_at
WHERE r.value <> EXCLUDED.value
