SELECT business_date, count(*) AS subjects
FROM (SELECT account_id, business_date, coalesce(instrument_id, symbol), opened_at FROM broker_lots
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND broker = 'IB' AND asset_class NOT IN ('FX', 'COMBO')
      GROUP BY 1, 2, 3, 4
      UNION ALL
      SELECT p.account_id, p.business_date, p.broker_position_id, NULL
      FROM broker_positions p JOIN instruments i USING (symbol)
      WHERE p.business_date BETWEEN %(from_date)s AND %(to_date)s AND p.broker = 'IB' AND p.source = 'FLEX'
        AND p.average_cost IS NOT NULL AND i.multiplier IS NOT NULL AND p.asset_class NOT IN ('FX', 'COMBO', 'BOND')
        AND NOT EXISTS (SELECT FROM broker_lots l WHERE l.business_date = p.business_date AND l.account_id = p.account_id
                        AND coalesce(l.instrument_id, l.symbol) = p.broker_position_id)) AS told
GROUP BY 1
