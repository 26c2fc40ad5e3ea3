-- Instruments whose bars may be wanted: traded, held, the underlying of what is, or named; with the days of their fills
-- and when they, or what is derived from them, were traded last. Each account is known up to a day of its own; one that
-- holds nothing has no rows, so of old ones nothing is held any more.
WITH traded AS (
    SELECT t.symbol, array_agg(DISTINCT t.trade_date ORDER BY t.trade_date) AS fills, max(t.trade_date) AS last_on
    FROM trades_norm t
    WHERE t.effective AND t.kind = 'TRADE' AND t.asset_class NOT IN ('COMBO', 'FX') AND t.trade_date <= %(last)s
    GROUP BY t.symbol
), newest AS (
    SELECT broker, account_id, max(business_date) AS business_date FROM positions_daily
    WHERE business_date BETWEEN %(traded_since)s AND %(last)s GROUP BY 1, 2
), held AS (
    SELECT DISTINCT p.symbol FROM newest JOIN positions_daily p USING (broker, account_id, business_date)
    WHERE p.qty <> 0 AND p.asset_class NOT IN ('COMBO', 'FX')
), followed AS (
    SELECT symbol FROM held UNION SELECT symbol FROM traded WHERE last_on >= %(traded_since)s
), listed AS (
    SELECT symbol FROM followed
    UNION SELECT i.underlying FROM followed f JOIN instruments i USING (symbol) WHERE i.underlying IS NOT NULL
), derived AS (
    SELECT i.underlying AS symbol, max(t.last_on) AS last_on
    FROM traded t JOIN instruments i USING (symbol) WHERE i.underlying IS NOT NULL GROUP BY 1
)
SELECT i.symbol, split_part(i.symbol, '.', 1) AS exchange, i.expiry, i.futu_code, i.ib_conid,
       coalesce(t.fills, '{}') AS fills, greatest(t.last_on, d.last_on) AS last_on,
       i.symbol IN (SELECT symbol FROM listed) AS is_followed
FROM instruments i LEFT JOIN traded t USING (symbol) LEFT JOIN derived d USING (symbol)
WHERE (i.symbol IN (SELECT symbol FROM listed) OR t.last_on >= %(minutes_since)s OR i.symbol = ANY (%(symbols)s))
  AND i.asset_class NOT IN ('COMBO', 'FX')
ORDER BY i.symbol
