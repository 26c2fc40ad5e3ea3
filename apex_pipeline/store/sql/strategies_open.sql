-- What open strategies hold, one row for each; what was held before the history belongs to none.
SELECT account_id, underlying, strategy_uid, coalesce(strategy_type, '(held before the history)') AS strategy_type,
       string_agg(trim_scale(qty) || ' ' || symbol, ', ' ORDER BY symbol, place) AS holds
FROM strategy_positions GROUP BY 1, 2, 3, strategy_type, chain_uid
ORDER BY 1, 2, 3, 4
