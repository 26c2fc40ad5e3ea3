SELECT DISTINCT account_id FROM dirty_days WHERE stage = 'classify' AND broker = %(broker)s ORDER BY 1
