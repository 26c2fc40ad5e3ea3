-- What does not agree and is accounted for, and by whom or what.
SELECT state, check_name, broker, account_id, business_date, subject, delta, currency, cause,
       coalesce(note, replace(rule, '_', ' ')) AS because, follows ->> 0 AS follows, accepted_until, break_uid
FROM recon_breaks
WHERE state IN ('EXPLAINED', 'ACCEPTED') AND (business_date BETWEEN %(from_date)s AND %(to_date)s OR business_date IS NULL)
ORDER BY state, business_date DESC, break_uid
