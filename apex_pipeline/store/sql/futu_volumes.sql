SELECT coalesce(instrument_id, symbol) AS code, sum(qty) AS qty FROM trades_norm
WHERE broker = 'FUTU' AND effective AND account_id = coalesce(%(account_id)s, account_id)
  AND trade_date >= coalesce(%(start)s::date, '-infinity') AND trade_date <= coalesce(%(end)s::date, 'infinity')
GROUP BY 1 ORDER BY 1
