SELECT cleanup_signal_log(%(older_than)s::interval) AS removed
