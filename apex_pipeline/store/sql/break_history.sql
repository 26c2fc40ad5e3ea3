SELECT changed_at, from_state, to_state, from_delta, to_delta, changed_by, reason FROM recon_changes
WHERE break_uid = %(uid)s ORDER BY changed_at, change_uid
