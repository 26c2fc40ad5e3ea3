SELECT fingerprint FROM alerts WHERE kind = %(kind)s AND ended_at IS NULL
