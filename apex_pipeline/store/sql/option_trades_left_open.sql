-- Trades of the options whose life may be over with a position left: expired ones, and those that cash bookings name.
WITH ended AS (
    SELECT t.symbol
    FROM trades_norm t JOIN instruments i USING (symbol)
    WHERE t.broker = %(broker)s AND t.account_id = %(account_id)s AND t.asset_class = 'OPTION' AND t.effective
      AND t.source <> ALL (%(made)s) AND i.expiry < clock_timestamp()::date
    GROUP BY 1 HAVING sum(CASE t.side WHEN 'BUY' THEN t.qty ELSE -t.qty END) <> 0
    UNION
    SELECT symbol FROM cash_movements WHERE broker = %(broker)s AND account_id = %(account_id)s AND symbol IS NOT NULL
)
SELECT t.* FROM trades_norm t JOIN ended USING (symbol)
WHERE t.broker = %(broker)s AND t.account_id = %(account_id)s AND t.source <> ALL (%(made)s)
ORDER BY t.trade_date, t.trade_uid
