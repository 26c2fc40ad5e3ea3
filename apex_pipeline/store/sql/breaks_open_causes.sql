-- Open breaks of other days that say what would set them right: what is found now may follow from them.
SELECT * FROM recon_breaks
WHERE state IN ('OPEN', 'ACCEPTED') AND evidence ? 'set_right' AND business_date IS NOT NULL
  AND business_date NOT BETWEEN %(from_date)s AND %(to_date)s
ORDER BY break_uid
