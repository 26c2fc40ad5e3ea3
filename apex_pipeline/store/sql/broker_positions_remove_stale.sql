-- Rows of these accounts and days that their newest snapshot does not hold.
DELETE FROM broker_positions p USING unnest(%(accounts)s::text[], %(dates)s::date[]) AS day (account_id, business_date)
WHERE p.broker = %(broker)s AND p.account_id = day.account_id AND p.business_date = day.business_date
  AND NOT EXISTS (
      SELECT FROM unnest(%(held_accounts)s::text[], %(held_dates)s::date[], %(held_ids)s::text[])
                  AS held (account_id, business_date, id)
      WHERE held.account_id = p.account_id AND held.business_date = p.business_date AND held.id = p.broker_position_id)
