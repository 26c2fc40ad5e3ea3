SELECT broker, account_id, source, newest_day, told_at, round(hours)::bigint AS hours FROM source_ages
WHERE hours > %(most_hours)s ORDER BY 1, 2, 3
