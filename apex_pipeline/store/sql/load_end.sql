UPDATE loads SET records = %(records)s, new_versions = %(new_versions)s, unchanged = %(unchanged)s,
       superseded = %(superseded)s, quarantined = %(quarantined)s, notes = %(notes)s
WHERE load_id = %(load_id)s
