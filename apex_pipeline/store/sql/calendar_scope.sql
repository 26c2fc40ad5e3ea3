-- The markets that something is traded on, and the first and last day of which anything is known.
SELECT array(SELECT DISTINCT market FROM trades_norm WHERE market IS NOT NULL ORDER BY 1) AS markets,
       least((SELECT min(trade_date) FROM trades_norm), (SELECT min(from_date) FROM load_coverage)) AS first_day,
       greatest((SELECT max(trade_date) FROM trades_norm), (SELECT max(to_date) FROM load_coverage)) AS last_day
