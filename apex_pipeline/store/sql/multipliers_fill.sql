-- A Futu market order tells no amount, so its contract size is unknown; other contracts of the same option class
-- tell it. Filled only where all known contracts of the class agree.
WITH known AS (
    SELECT split_part(symbol, ' ', 1) AS class, min(multiplier) AS multiplier
    FROM instruments WHERE asset_class = 'OPTION' AND multiplier IS NOT NULL
    GROUP BY 1 HAVING min(multiplier) = max(multiplier)
), lacking AS (
    UPDATE instruments i SET multiplier = k.multiplier FROM known k
    WHERE i.asset_class = 'OPTION' AND i.multiplier IS NULL AND k.class = split_part(i.symbol, ' ', 1)
), orders AS (
    UPDATE orders_norm o SET multiplier = k.multiplier FROM known k
    WHERE o.asset_class = 'OPTION' AND o.multiplier IS NULL AND k.class = split_part(o.symbol, ' ', 1)
)
UPDATE trades_norm t SET multiplier = k.multiplier, amount = t.qty * t.price * k.multiplier FROM known k
WHERE t.asset_class = 'OPTION' AND t.multiplier IS NULL AND k.class = split_part(t.symbol, ' ', 1)
