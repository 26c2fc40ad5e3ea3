SELECT f.charged_on AS day, count(*) AS rows FROM fee_allocations a JOIN fees_norm f USING (fee_uid)
WHERE f.charged_on BETWEEN %(from_date)s AND %(to_date)s GROUP BY 1
