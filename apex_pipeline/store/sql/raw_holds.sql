SELECT EXISTS (
    SELECT FROM raw_records
    WHERE broker = %(broker)s AND kind = %(kind)s AND account_id = %(account_id)s
      AND business_date BETWEEN %(from_date)s AND %(to_date)s
)
