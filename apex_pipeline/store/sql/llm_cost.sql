SELECT coalesce(sum(cost), 0) FROM llm_analysis_log WHERE called_at >= coalesce(%(since)s::timestamptz, '-infinity')
