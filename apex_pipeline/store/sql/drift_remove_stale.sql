-- Words of these accounts and days that no record uses any more, or that a rule knows by now.
DELETE FROM payload_drift d USING unnest(%(accounts)s::text[], %(dates)s::date[]) AS day (account_id, business_date)
WHERE d.broker = %(broker)s AND d.account_id = day.account_id AND d.business_date = day.business_date
  AND NOT EXISTS (
      SELECT FROM unnest(%(kinds)s::text[], %(word_accounts)s::text[], %(word_dates)s::date[], %(fields)s::text[],
                         %(words)s::text[]) AS w (kind, account_id, business_date, field, value)
      WHERE (w.kind, w.account_id, w.business_date, w.field, w.value)
            = (d.kind, d.account_id, d.business_date, d.field, d.value))
