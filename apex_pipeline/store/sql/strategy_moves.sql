-- What changed the positions of some families without an order; `strategy_inputs` has collected it.
CREATE TEMPORARY TABLE IF NOT EXISTS strategy_moves (
    uid text COLLATE "C" NOT NULL, broker text COLLATE "C" NOT NULL, family text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL, underlying text COLLATE "C", asset_class text COLLATE "C" NOT NULL,
    option_right text COLLATE "C", strike numeric, expiry date, multiplier numeric, qty numeric NOT NULL, at timestamptz
) ON COMMIT DROP;
SELECT * FROM strategy_moves WHERE family = ANY (%(families)s) ORDER BY uid, symbol
