-- A breakdown counts on the day of its trade.
SELECT 'IB' AS broker, account_id, business_date, count(*) AS subjects
FROM (
    SELECT s.account_id, btrim(s.payload ->> 'tradeID') AS trade_id, min(f.business_date) AS business_date
    FROM sections_raw_ib s
    JOIN fees_raw_ib f ON f.account_id = s.account_id
                      AND btrim(f.payload ->> 'tradeID') = btrim(s.payload ->> 'tradeID')
    WHERE s.record_key > 'UnbundledCommissionDetails/' AND s.record_key < 'UnbundledCommissionDetails0'
      AND s.business_date BETWEEN %(from_date)s::date - 3 AND %(to_date)s::date + 3
      AND btrim(s.payload ->> 'tradeID') <> '' AND btrim(s.payload ->> 'totalCommission') ~ '^[-+]?\d+\.?\d*$'
    GROUP BY 1, 2
) AS told
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
GROUP BY 1, 2, 3
