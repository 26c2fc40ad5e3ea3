-- C06. An exercised or assigned option delivers contracts x multiplier shares at its strike: a long call and a short put
-- take them in, a long put and a short call give them away. Both rows share a link. An option on an index, or one that
-- ended at a price and moved nothing, was settled in cash.
WITH ends AS (
    SELECT m.broker, m.account_id, coalesce(m.link_id, m.movement_uid) AS link, min(m.business_date) AS business_date,
           min(m.symbol) AS symbol, min(i.strike) AS strike, max(i.strike) AS highest_strike,
           bool_and(coalesce(m.price, 0) <> 0) AS has_price, bool_or(u.asset_class = 'INDEX') AS on_index,
           -- NULL where a term of the contract is not known: then nothing is expected of the shares.
           CASE WHEN bool_and(i.option_right IS NOT NULL AND coalesce(m.multiplier, i.multiplier) IS NOT NULL)
                THEN sum(m.qty * coalesce(m.multiplier, i.multiplier) * CASE i.option_right WHEN 'C' THEN -1 ELSE 1 END) END AS shares
    FROM position_movements m
    LEFT JOIN instruments i ON i.symbol = m.symbol
    LEFT JOIN instruments u ON u.symbol = i.underlying
    WHERE m.business_date BETWEEN %(from_date)s AND %(to_date)s AND m.kind IN ('EXERCISE', 'ASSIGNMENT')
      AND m.asset_class = 'OPTION'
    GROUP BY m.broker, m.account_id, coalesce(m.link_id, m.movement_uid)
), moved AS (
    SELECT e.account_id, e.link, sum(m.qty) AS shares, bool_and(m.price IS NOT DISTINCT FROM e.strike) AS at_strike,
           min(m.price) AS price
    FROM ends e JOIN position_movements m ON m.account_id = e.account_id AND m.link_id = e.link
    WHERE m.kind IN ('EXERCISE', 'ASSIGNMENT') AND m.asset_class <> 'OPTION'
    GROUP BY 1, 2
)
SELECT e.broker, e.account_id, e.link AS subject, e.business_date, trim_scale(e.shares) AS expected,
       trim_scale(coalesce(v.shares, 0)) AS actual, 'ERROR' AS severity,
       CASE WHEN v.link IS NULL THEN 'MISSING_B' ELSE 'LIFECYCLE' END AS cause,
       jsonb_build_object('symbol', e.symbol, 'strike', e.strike, 'price', v.price) AS evidence
FROM ends e LEFT JOIN moved v USING (account_id, link)
WHERE CASE WHEN v.link IS NULL THEN NOT (e.has_price OR coalesce(e.on_index, false))
           ELSE e.shares <> v.shares OR (e.strike = e.highest_strike AND NOT v.at_strike) END
ORDER BY 1, 2, 3
