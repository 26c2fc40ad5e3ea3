-- Sources of accounts that a run reaches the newest day of; they are looked at on its last day.
SELECT broker, account_id, %(to_date)s::date AS business_date, 1 AS subjects
FROM source_ages WHERE newest_day <= %(to_date)s AND %(from_date)s::date <= %(to_date)s::date
