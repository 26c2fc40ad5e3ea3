-- Who keeps this account, and when trades, positions and the book were told last. A snapshot of which a row could not be
-- read tells nothing about what is not in it.
SELECT coalesce(trades.broker, told.broker, moved.broker, book.broker) AS broker, trades.told_at AS trades_at,
       moved.last_at AS moved_at, told.business_date AS snapshot_date, told.as_of AS snapshot_at,
       book.synced_at AS book_at, book.source AS book_source
FROM (SELECT max(broker) AS broker, max(covered_at) AS told_at FROM load_coverage
      WHERE account_id = %(account_id)s AND data_type IN ('futu_deals', 'ib_flex')) trades
LEFT JOIN LATERAL (
    SELECT m.broker, m.ordered_at AS last_at FROM position_movements m WHERE m.account_id = %(account_id)s
    ORDER BY m.business_date DESC, m.ordered_at DESC LIMIT 1) moved ON true
LEFT JOIN LATERAL (
    SELECT r.broker, r.business_date, coalesce(r.generated_at, r.fetched_at) AS as_of
    FROM raw_records r
    WHERE r.account_id = %(account_id)s AND r.kind = 'positions'
      AND NOT EXISTS (SELECT FROM quarantine q
                      WHERE q.broker = r.broker AND q.account_id = r.account_id AND q.kind = 'positions'
                        AND q.business_date = r.business_date AND q.resolved_at IS NULL)
    UNION ALL
    SELECT b.broker, b.business_date, max(b.as_of)
    FROM broker_positions b WHERE b.account_id = %(account_id)s GROUP BY 1, 2
    ORDER BY 2 DESC, 3 DESC LIMIT 1) told ON true
LEFT JOIN LATERAL (
    SELECT p.broker, p.synced_at, p.source FROM positions p WHERE p.account_id = %(account_id)s
    ORDER BY p.synced_at DESC, p.position_id LIMIT 1) book ON true
