-- What a live engine stands on: exchanges, bars and their gaps, signals, and snapshots of positions and accounts.
-- Large tables have their instant in the key (they can become hypertables) and a BRIN index on it (they can stay as they
-- are).

CREATE TABLE exchange_info (
    exchange text COLLATE "C" PRIMARY KEY,
    timezone text NOT NULL,
    calendar text COLLATE "C",
    currency text COLLATE "C",
    lot_size numeric,
    break_begins time,
    break_ends time,
    auction_minutes bigint NOT NULL DEFAULT 0,
    extended_begins time,
    extended_ends time,
    CHECK ((break_begins IS NULL) = (break_ends IS NULL) AND (extended_begins IS NULL) = (extended_ends IS NULL))
);
COMMENT ON TABLE exchange_info IS 'Exchanges by the prefix of their symbols, or by their own name. Opening and close of every day are in market_days.';
COMMENT ON COLUMN exchange_info.calendar IS 'The calendar of market_days; 24/7 for around the clock; NULL where the hours are not known here.';
COMMENT ON COLUMN exchange_info.lot_size IS 'The smallest quantity that is traded as a round lot; NULL where each instrument has its own.';
COMMENT ON COLUMN exchange_info.break_begins IS 'The pause at midday, in the wall clock of the exchange.';
COMMENT ON COLUMN exchange_info.auction_minutes IS 'How long after the close its auction may still print.';
COMMENT ON COLUMN exchange_info.extended_begins IS 'Hours before the opening and after the close; from the evening before where they begin not before they end.';

INSERT INTO exchange_info VALUES
    ('US', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('HK', 'Asia/Hong_Kong', 'XHKG', 'HKD', NULL, '12:00', '13:00', 10, NULL, NULL),
    ('UK', 'Europe/London', 'XLON', 'GBP', 1, NULL, NULL, 10, NULL, NULL),
    ('DE', 'Europe/Berlin', 'XETR', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('FR', 'Europe/Paris', 'XPAR', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('NL', 'Europe/Amsterdam', 'XAMS', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('BE', 'Europe/Brussels', 'XBRU', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('IT', 'Europe/Rome', 'XMIL', 'EUR', 1, NULL, NULL, 15, NULL, NULL),
    ('ES', 'Europe/Madrid', 'XMAD', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('PT', 'Europe/Lisbon', 'XLIS', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('AT', 'Europe/Vienna', 'XWBO', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('CH', 'Europe/Zurich', 'XSWX', 'CHF', 1, NULL, NULL, 10, NULL, NULL),
    ('SE', 'Europe/Stockholm', 'XSTO', 'SEK', 1, NULL, NULL, 10, NULL, NULL),
    ('NO', 'Europe/Oslo', 'XOSL', 'NOK', 1, NULL, NULL, 10, NULL, NULL),
    ('DK', 'Europe/Copenhagen', 'XCSE', 'DKK', 1, NULL, NULL, 10, NULL, NULL),
    ('FI', 'Europe/Helsinki', 'XHEL', 'EUR', 1, NULL, NULL, 10, NULL, NULL),
    ('PL', 'Europe/Warsaw', 'XWAR', 'PLN', 1, NULL, NULL, 10, NULL, NULL),
    ('CA', 'America/Toronto', 'XTSE', 'CAD', NULL, NULL, NULL, 10, NULL, NULL),
    ('JP', 'Asia/Tokyo', 'XTKS', 'JPY', 100, '11:30', '12:30', 0, NULL, NULL),
    ('SG', 'Asia/Singapore', 'XSES', 'SGD', 100, NULL, NULL, 16, NULL, NULL),
    ('AU', 'Australia/Sydney', 'XASX', 'AUD', 1, NULL, NULL, 15, NULL, NULL),
    ('KR', 'Asia/Seoul', 'XKRX', 'KRW', 1, NULL, NULL, 0, NULL, NULL),
    ('TW', 'Asia/Taipei', 'XTAI', 'TWD', 1000, NULL, NULL, 0, NULL, NULL),
    ('IN', 'Asia/Kolkata', NULL, 'INR', 1, NULL, NULL, 0, NULL, NULL),
    ('MX', 'America/Mexico_City', NULL, 'MXN', NULL, NULL, NULL, 0, NULL, NULL),
    ('IL', 'Asia/Jerusalem', NULL, 'ILS', NULL, NULL, NULL, 0, NULL, NULL),
    ('FX', 'America/New_York', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL),
    ('CME', 'America/Chicago', NULL, 'USD', 1, NULL, NULL, 0, NULL, NULL),
    ('CBOT', 'America/Chicago', NULL, 'USD', 1, NULL, NULL, 0, NULL, NULL),
    ('NYMEX', 'America/New_York', NULL, 'USD', 1, NULL, NULL, 0, NULL, NULL),
    ('COMEX', 'America/New_York', NULL, 'USD', 1, NULL, NULL, 0, NULL, NULL),
    ('CFE', 'America/Chicago', NULL, 'USD', 1, NULL, NULL, 0, NULL, NULL),
    ('EUREX', 'Europe/Berlin', NULL, 'EUR', 1, NULL, NULL, 0, NULL, NULL),
    ('HKFE', 'Asia/Hong_Kong', NULL, 'HKD', 1, NULL, NULL, 0, NULL, NULL),
    ('NYSE', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('NASDAQ', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('AMEX', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('ARCA', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('BATS', 'America/New_York', 'XNYS', 'USD', 1, NULL, NULL, 0, '20:00', '20:00'),
    ('SEHK', 'Asia/Hong_Kong', 'XHKG', 'HKD', NULL, '12:00', '13:00', 10, NULL, NULL),
    ('CRYPTO', 'UTC', '24/7', NULL, NULL, NULL, NULL, 0, NULL, NULL);

CREATE TABLE ohlcv (
    symbol text COLLATE "C" NOT NULL,
    timeframe text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL,
    exchange text COLLATE "C",
    open numeric NOT NULL CHECK (open <> 'NaN' AND abs(open) < 'Infinity'),
    high numeric NOT NULL CHECK (high <> 'NaN' AND abs(high) < 'Infinity'),
    low numeric NOT NULL CHECK (low <> 'NaN' AND abs(low) < 'Infinity'),
    close numeric NOT NULL CHECK (close <> 'NaN' AND abs(close) < 'Infinity'),
    volume numeric CHECK (volume <> 'NaN' AND abs(volume) < 'Infinity'),
    session text COLLATE "C" NOT NULL DEFAULT 'REGULAR' CHECK (session IN ('REGULAR', 'EXTENDED')),
    adjustment text COLLATE "C" NOT NULL DEFAULT 'NONE' CHECK (adjustment IN ('NONE', 'SPLITS', 'ALL')),
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (symbol, timeframe, opened_at)
);
COMMENT ON TABLE ohlcv IS 'Bars as their vendor told them, also impossible ones: a check says so. volume is NULL where it is not told.';
COMMENT ON COLUMN ohlcv.timeframe IS 'Length of a bar: 1m, 5m, 30m, 1h, 1d; of longer ones (1w, 1mo) only the shape is checked.';
COMMENT ON COLUMN ohlcv.opened_at IS 'When the bar begins. Of a daily bar: the opening, or midnight of its day, of the exchange or in UTC.';
COMMENT ON COLUMN ohlcv.exchange IS 'A row of exchange_info; NULL and unknown ones are read as the prefix of the symbol.';
COMMENT ON COLUMN ohlcv.session IS 'EXTENDED: a bar of the hours before the opening or after the close.';
COMMENT ON COLUMN ohlcv.adjustment IS 'What prices were changed for afterwards: only those as traded (NONE) are compared with fills.';
CREATE INDEX ohlcv_by_time ON ohlcv USING brin (opened_at);

CREATE TABLE ohlcv_gaps (
    symbol text COLLATE "C" NOT NULL,
    timeframe text COLLATE "C" NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    reason text COLLATE "C" NOT NULL CHECK (reason IN ('HALT', 'HOLIDAY', 'HALF_DAY', 'NO_TRADE', 'VENDOR')),
    note text,
    source text COLLATE "C" NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (symbol, timeframe, from_at)
);
COMMENT ON TABLE ohlcv_gaps IS 'Stretches without bars (from_at inclusive, to_at exclusive) and why; a missing bar outside of them is a finding.';

-- By steps over the key, so that it does not grow with the number of bars.
CREATE VIEW ohlcv_series AS
    WITH RECURSIVE series AS (
        (SELECT symbol, timeframe FROM ohlcv ORDER BY symbol, timeframe LIMIT 1)
        UNION ALL
        SELECT next.symbol, next.timeframe
        FROM series s CROSS JOIN LATERAL (
            SELECT o.symbol, o.timeframe FROM ohlcv o WHERE (o.symbol, o.timeframe) > (s.symbol, s.timeframe)
            ORDER BY o.symbol, o.timeframe LIMIT 1
        ) AS next
    )
    SELECT s.symbol, s.timeframe, newest.exchange, oldest.opened_at AS first_at, newest.opened_at AS last_at
    FROM series s
    CROSS JOIN LATERAL (SELECT o.opened_at FROM ohlcv o
                        WHERE o.symbol = s.symbol AND o.timeframe = s.timeframe
                        ORDER BY o.opened_at LIMIT 1) AS oldest
    CROSS JOIN LATERAL (SELECT o.opened_at, o.exchange FROM ohlcv o
                        WHERE o.symbol = s.symbol AND o.timeframe = s.timeframe
                        ORDER BY o.opened_at DESC LIMIT 1) AS newest;
COMMENT ON VIEW ohlcv_series IS 'Every symbol and timeframe with bars, from when to when.';

-- Where and when the bars of a symbol are traded. A market's hours are not those of everything that is named after it:
-- the calendar is NULL for what has hours of its own (futures, currencies, intraday bars of indexes and of options on
-- them), and 24/7 for what belongs to no exchange that is known here. `step` is the length of an intraday bar.
CREATE FUNCTION hours_of_bars(of_symbol text, of_timeframe text, told_exchange text)
RETURNS TABLE (
    place text, timezone text, calendar text, is_daily boolean, step interval, is_sparse boolean, auction interval
) LANGUAGE sql STABLE AS $$
    SELECT x.exchange, coalesce(x.timezone, 'UTC'),
           CASE WHEN NOT bar.is_daily
                     AND (bar.step IS NULL OR bar.step >= interval '1 day' OR NOT kind.has_market_hours) THEN NULL
                WHEN i.asset_class = 'CRYPTO' OR (x.exchange IS NULL AND i.symbol IS NULL) THEN '24/7'
                WHEN i.symbol IS NULL OR i.asset_class IN ('STOCK', 'OPTION', 'WARRANT', 'INDEX')
                  OR x.exchange <> split_part(of_symbol, '.', 1) THEN x.calendar END,
           bar.is_daily, bar.step, kind.is_option OR coalesce(i.asset_class IN ('FUTURE_OPTION', 'WARRANT'), false),
           -- Some options trade a quarter of an hour longer than their underlying.
           make_interval(mins => CASE WHEN kind.is_option THEN 15 ELSE coalesce(x.auction_minutes, 0)::int END)
    FROM (SELECT of_timeframe IN ('1d', '1D') AS is_daily,
                 CASE WHEN of_timeframe ~ '^[1-9][0-9]{0,3}(s|m|min|h|H)$' THEN of_timeframe::interval END AS step) AS bar
    LEFT JOIN instruments i ON i.symbol = of_symbol
    LEFT JOIN LATERAL (
        SELECT e.* FROM exchange_info e WHERE e.exchange IN (told_exchange, split_part(of_symbol, '.', 1))
        ORDER BY e.exchange IS NOT DISTINCT FROM told_exchange DESC LIMIT 1
    ) AS x ON true
    CROSS JOIN LATERAL (SELECT coalesce(i.asset_class = 'OPTION', of_symbol ~ ' [CP] ') AS is_option) AS a
    CROSS JOIN LATERAL (
        SELECT a.is_option,
               CASE WHEN a.is_option THEN coalesce(i.underlying NOT LIKE '%..%', false)
                    ELSE of_symbol NOT LIKE '%..%' AND i.asset_class IS DISTINCT FROM 'INDEX' END AS has_market_hours
    ) AS kind
$$;

-- The exchange's date of a bar. A daily bar may be dated by midnight in UTC, which is another day in America.
CREATE FUNCTION date_of_bar(opened_at timestamptz, is_daily boolean, timezone text) RETURNS date
LANGUAGE sql STABLE AS $$
    SELECT (opened_at AT TIME ZONE CASE WHEN is_daily AND opened_at = date_trunc('day', opened_at, 'UTC') THEN 'UTC'
                                        ELSE timezone END)::date
$$;

CREATE TABLE trade_signals (
    signal_uid text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    source text COLLATE "C" NOT NULL,
    signal_key text COLLATE "C",
    symbol text COLLATE "C" NOT NULL,
    side text COLLATE "C" CHECK (side IN ('BUY', 'SELL')),
    strength numeric CHECK (strength <> 'NaN' AND abs(strength) < 'Infinity'),
    payload jsonb NOT NULL DEFAULT '{}',
    status text COLLATE "C" NOT NULL DEFAULT 'PENDING'
        CHECK (status IN ('PENDING', 'EXECUTED', 'CANCELLED', 'EXPIRED')),
    created_at timestamptz NOT NULL DEFAULT now(),
    executed_at timestamptz
);
COMMENT ON TABLE trade_signals IS 'Signals of engines. signal_uid follows from source, signal_key and what the signal says: told again it is the same row, told otherwise a second one, which a check reports.';
COMMENT ON COLUMN trade_signals.signal_key IS 'The engine''s own key or fingerprint, the same in every run over the same data; NULL: its stability cannot be proved.';
CREATE INDEX trade_signals_by_key ON trade_signals (source, signal_key) WHERE signal_key IS NOT NULL;
CREATE INDEX trade_signals_by_source ON trade_signals (source, created_at);
CREATE INDEX trade_signals_pending ON trade_signals (created_at) WHERE status = 'PENDING';
CREATE INDEX trade_signals_by_time ON trade_signals (created_at);

CREATE TABLE position_snapshots (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    captured_at timestamptz NOT NULL,
    position_count bigint NOT NULL,
    positions jsonb NOT NULL CHECK (jsonb_typeof(positions) = 'array'),
    source text COLLATE "C" NOT NULL,
    watermark_at timestamptz,
    watermark_count bigint,
    PRIMARY KEY (broker, account_id, captured_at)
);
COMMENT ON TABLE position_snapshots IS 'All positions of an account at one moment, one row per capture.';
COMMENT ON COLUMN position_snapshots.positions IS 'A list of {symbol, instrument_id, qty, avg_cost, mark_price, market_value, unrealized_pnl, currency, asset_class}; qty is signed.';
COMMENT ON COLUMN position_snapshots.watermark_at IS 'The newest movement that the positions contain, and all before it; NULL: all up to captured_at.';
COMMENT ON COLUMN position_snapshots.watermark_count IS 'How many movements of the ledger they were made of; NULL where the ledger did not make them (a broker, an engine).';
CREATE INDEX position_snapshots_by_time ON position_snapshots USING brin (captured_at);

-- What a snapshot says of securities; a quantity that is no number is NULL. Currencies and combinations are not
-- positions.
CREATE FUNCTION told_positions(positions jsonb) RETURNS TABLE (symbol text, instrument_id text, qty numeric)
LANGUAGE sql IMMUTABLE AS $$
    SELECT p ->> 'symbol', p ->> 'instrument_id',
           CASE WHEN p ->> 'qty' ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$'
                THEN (p ->> 'qty')::numeric END
    FROM jsonb_array_elements(positions) AS p
    WHERE coalesce(p ->> 'asset_class', '') NOT IN ('FX', 'COMBO')
$$;

-- Whether a snapshot can be compared with the ledger, of which `movements` stand up to the watermark. One that the ledger
-- made: if they are as many as then. They become more or fewer when something of before is loaded later, and the snapshot
-- is of another ledger; but fewer, when nothing was loaded since, means that the ledger lost some, and that counts. One of
-- a broker or an engine: once the broker has told of that day, later than the watermark.
CREATE FUNCTION is_comparable(
    of_broker text, of_account text, captured timestamptz, watermark timestamptz, made_of bigint, movements numeric
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN made_of IS NULL THEN EXISTS (
            SELECT FROM load_coverage c
            WHERE c.broker = of_broker AND c.account_id = of_account AND c.data_type IN ('ib_flex', 'futu_deals')
              AND (watermark AT TIME ZONE 'UTC')::date BETWEEN c.from_date AND c.to_date AND c.covered_at >= watermark)
        WHEN movements < made_of THEN NOT EXISTS (
            SELECT FROM loads l
            WHERE l.broker = of_broker AND coalesce(l.account_id, of_account) = of_account AND l.new_versions > 0
              AND l.finished_at > captured)
        ELSE movements = made_of END
$$;

-- Whether a snapshot may hold `told` of an instrument where the ledger holds `held` at the watermark. In one of a broker
-- or an engine, ends of options, corporate actions and transfers may stand up to four days later, and a trade of the last
-- minute may not stand yet (instants of trades are cut to seconds, too), the earlier ones first. What the ledger made may
-- have been made of trades that their broker told otherwise since.
CREATE FUNCTION may_differ(
    of_broker text, of_account text, of_instrument text, captured timestamptz, watermark timestamptz, is_of_ledger boolean,
    told numeric, held numeric
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN is_of_ledger THEN EXISTS (
            SELECT FROM position_movements m
            JOIN trades_norm t ON t.trade_uid = m.movement_uid
            JOIN raw_versions v ON v.table_name = 'trades_raw_' || lower(t.broker) AND v.account_id = t.account_id
                               AND v.record_key = t.broker_trade_id
            WHERE m.broker = of_broker AND m.account_id = of_account AND m.instrument_id = of_instrument
              AND v.superseded_at > captured)
        ELSE EXISTS (
            SELECT FROM (
                SELECT sum(m.qty) OVER (ORDER BY m.at, m.movement_uid) AS part,
                       coalesce(sum(m.qty) FILTER (WHERE m.at <= watermark) OVER (), 0) AS within
                FROM (SELECT p.*, coalesce(p.moved_at, p.ordered_at) AS at FROM position_movements p
                      WHERE p.broker = of_broker AND p.account_id = of_account AND p.instrument_id = of_instrument) AS m
                WHERE m.at > watermark - interval '1 minute' AND m.at <= watermark + interval '5 seconds'
                   OR m.kind IN ('EXERCISE', 'ASSIGNMENT', 'EXPIRATION', 'CORPORATE_ACTION', 'TRANSFER')
                      AND m.at > watermark - interval '4 days' AND m.at <= watermark + interval '1 day'
            ) AS ends
            CROSS JOIN LATERAL (VALUES (0), (ends.part)) AS booked (qty)
            WHERE abs(told - (held - ends.within + booked.qty)) <= 1e-8) END
$$;

-- Until when an account last held these quantities of these instruments, and of all others what it held at `mark`: the
-- moment at which a snapshot that says so became stale. NULL if it never did.
CREATE FUNCTION held_until(of_broker text, of_account text, mark timestamptz, instruments text[], quantities numeric[])
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    WITH moved AS (
        SELECT m.instrument_id, coalesce(m.moved_at, m.ordered_at) AS at, sum(m.qty) AS qty
        FROM position_movements m
        WHERE m.broker = of_broker AND m.account_id = of_account AND coalesce(m.moved_at, m.ordered_at) <= mark
        GROUP BY 1, 2
    ), asked AS (
        SELECT told.instrument_id, told.qty FROM unnest(instruments, quantities) AS told (instrument_id, qty)
    ), steps AS (
        SELECT instrument_id, at, sum(qty) OVER (PARTITION BY instrument_id ORDER BY at) AS held
        FROM moved WHERE instrument_id = ANY (instruments)
        UNION ALL SELECT instrument_id, '-infinity', 0 FROM asked
    ), lasting AS (
        SELECT instrument_id, at, held, lead(at) OVER (PARTITION BY instrument_id ORDER BY at) AS until FROM steps
    ), newest AS (
        SELECT DISTINCT ON (l.instrument_id) l.instrument_id, l.at, l.until
        FROM lasting l JOIN asked a USING (instrument_id)
        WHERE l.until IS NOT NULL AND abs(l.held - a.qty) <= 1e-8
        ORDER BY l.instrument_id, l.at DESC
    ), common AS (
        SELECT min(until) AS until FROM newest HAVING count(*) = cardinality(instruments) AND max(at) < min(until)
    )
    SELECT c.until FROM common c
    WHERE NOT EXISTS (SELECT FROM moved o WHERE o.at >= c.until AND o.instrument_id <> ALL (instruments)
                      GROUP BY o.instrument_id HAVING sum(o.qty) <> 0)
$$;

CREATE TABLE account_snapshots (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    captured_at timestamptz NOT NULL,
    net_liquidation numeric,
    total_cash_value numeric,
    unrealized_pnl numeric,
    realized_pnl numeric,
    margin_used numeric,
    currency text COLLATE "C",
    payload jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (broker, account_id, captured_at)
);
COMMENT ON TABLE account_snapshots IS 'What an account was worth at one moment, as its broker or an engine told it; payload keeps all that was told.';
CREATE INDEX account_snapshots_by_time ON account_snapshots USING brin (captured_at);
