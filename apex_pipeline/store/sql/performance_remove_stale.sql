DELETE FROM performance_metrics p
USING unnest(%(accounts)s::text[], %(after)s::date[]) AS due (account_id, after_day)
WHERE p.account_id = due.account_id AND p.period = 'DAY' AND p.business_date > due.after_day
  AND NOT EXISTS (
      SELECT FROM unnest(%(kept_accounts)s::text[], %(kept_days)s::date[], %(kept_scopes)s::text[], %(kept_ids)s::text[])
          AS kept (account_id, business_date, scope, scope_id)
      WHERE (kept.account_id, kept.business_date, kept.scope, kept.scope_id)
            = (p.account_id, p.business_date, p.scope, p.scope_id)
  )
