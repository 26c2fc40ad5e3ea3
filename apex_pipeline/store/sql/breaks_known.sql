SELECT * FROM recon_breaks WHERE break_uid = ANY (%(uids)s)
