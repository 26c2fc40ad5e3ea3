-- Movements of these records that no longer follow: bookings, and both legs of conversions.
DELETE FROM cash_movements m USING unnest(%(accounts)s::text[], %(ids)s::text[]) AS p (account_id, broker_cash_id)
WHERE m.broker = %(broker)s AND (m.account_id, m.broker_cash_id) = (p.account_id, p.broker_cash_id)
  AND m.cash_uid <> ALL (%(keep)s)
