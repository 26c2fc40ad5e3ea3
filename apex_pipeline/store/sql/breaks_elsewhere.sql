-- Breaks of other days that are not closed: what is found now may follow from them.
SELECT * FROM recon_breaks
WHERE state <> 'CLOSED' AND business_date IS NOT NULL AND business_date NOT BETWEEN %(from_date)s AND %(to_date)s
ORDER BY break_uid
