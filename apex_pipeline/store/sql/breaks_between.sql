-- Breaks of these days, and those that are not bound to a day.
SELECT * FROM recon_breaks WHERE business_date BETWEEN %(from_date)s AND %(to_date)s OR business_date IS NULL ORDER BY break_uid
