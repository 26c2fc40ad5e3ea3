SELECT * FROM recon_breaks WHERE business_date BETWEEN %(from_date)s AND %(to_date)s ORDER BY break_uid
