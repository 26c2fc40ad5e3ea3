SELECT currency, sum(amount) AS amount FROM fees_norm
WHERE broker = %(broker)s AND account_id = coalesce(%(account_id)s, account_id)
  AND charged_on >= coalesce(%(start)s::date, '-infinity') AND charged_on <= coalesce(%(end)s::date, 'infinity')
  AND (trade_uid IS NOT NULL OR NOT %(only_trades)s)
GROUP BY 1 ORDER BY 1
