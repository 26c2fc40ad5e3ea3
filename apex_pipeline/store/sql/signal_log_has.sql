SELECT EXISTS (SELECT FROM signal_log WHERE fingerprint = %(fingerprint)s) AS logged
