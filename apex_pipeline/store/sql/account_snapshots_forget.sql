-- A part of what was captured before a moment: rows that nobody writes any more, few at a time.
DELETE FROM account_snapshots s
USING (SELECT broker, account_id, captured_at FROM account_snapshots WHERE captured_at < %(before)s LIMIT %(most)s) AS old
WHERE s.broker = old.broker AND s.account_id = old.account_id AND s.captured_at = old.captured_at
