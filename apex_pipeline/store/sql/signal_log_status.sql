UPDATE signal_log SET status = %(status)s WHERE fingerprint = %(fingerprint)s
