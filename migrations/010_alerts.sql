-- Alerts: what a person is told outside the UI, each thing once; what was told, where, and what waits to be told.

CREATE TABLE account_aliases (
    broker text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    alias text COLLATE "C" NOT NULL UNIQUE,
    PRIMARY KEY (broker, account_id)
);
COMMENT ON TABLE account_aliases IS 'What an account is called outside this machine (futu-1), in the order in which accounts appeared. An alias never changes.';

CREATE TABLE alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('REFUSAL', 'RUN', 'DEADLINE', 'BREAK', 'DRIFT')),
    fingerprint text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('ERROR', 'WARN')),
    subject text NOT NULL,
    line text NOT NULL,
    advice text NOT NULL,
    opened_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= opened_at)
);
COMMENT ON TABLE alerts IS 'What needs a person, from when it was first seen until it was not there any more; what comes back is a new row.';
COMMENT ON COLUMN alerts.fingerprint IS 'What it is about: the same thing stands once at a time.';
COMMENT ON COLUMN alerts.subject IS 'What alerts of one message are grouped by. This, line and advice hold no account number and no secret.';
CREATE UNIQUE INDEX alerts_standing ON alerts (fingerprint) WHERE ended_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (opened_at);

CREATE TABLE alert_messages (
    message_uid text COLLATE "C" PRIMARY KEY,
    channel text COLLATE "C" NOT NULL CHECK (channel IN ('webhook', 'mail')),
    title text NOT NULL,
    body text NOT NULL,
    made_at timestamptz NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    is_uncertain boolean NOT NULL DEFAULT false,
    told_at timestamptz,
    error text
);
COMMENT ON TABLE alert_messages IS 'What was sent to a channel, or waits for it: one waits at most, and takes in what comes meanwhile.';
COMMENT ON COLUMN alert_messages.is_uncertain IS 'An attempt began of which nobody knows how it ended: the same text is sent again.';
CREATE UNIQUE INDEX alert_messages_waiting ON alert_messages (channel) WHERE told_at IS NULL;
CREATE INDEX alert_messages_by_time ON alert_messages (channel, told_at);

CREATE TABLE alert_tellings (
    alert_id bigint NOT NULL REFERENCES alerts ON DELETE CASCADE,
    channel text COLLATE "C" NOT NULL,
    message_uid text COLLATE "C" NOT NULL REFERENCES alert_messages ON DELETE CASCADE,
    PRIMARY KEY (alert_id, channel)
);
COMMENT ON TABLE alert_tellings IS 'Which message tells an alert to a channel: never two.';
CREATE INDEX alert_tellings_by_message ON alert_tellings (message_uid);

-- Refusals of a broker (a login, a token, a query), apart from what passes by itself.
ALTER TABLE load_runs ADD COLUMN refusal text;
COMMENT ON COLUMN load_runs.refusal IS 'What the broker refused, where that ended the extraction: a person has to mend it.';
ALTER TABLE loads ADD COLUMN is_refused boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN loads.is_refused IS 'Whether a FAILED load was refused, which no other try mends.';

-- How long ago each source was told, in hours of business days. Business days are weekdays on which an exchange in use has a
-- session (IB: New York's). Sources: what Futu tells of orders and deals, the older of both; Interactive Brokers' statements
-- where the web service was ever asked for the account. Files come when a person brings them.
CREATE VIEW source_ages AS
    WITH covered AS MATERIALIZED (
        SELECT c.broker, c.account_id, c.data_type, least(c.to_date, l.to_date) AS last_day, l.finished_at, l.load_id
        FROM load_coverage c JOIN loads l USING (load_id)
        WHERE c.data_type IN ('futu_orders', 'futu_deals', 'ib_flex')
    ), asked AS (
        SELECT DISTINCT c.account_id FROM covered c
        WHERE c.broker = 'IB' AND c.load_id IN (SELECT o.load_id FROM raw_observations o
                                                WHERE o.interface = 'flex' AND o.request ->> 'service' = 'GetStatement')
    ), reached AS (
        SELECT c.broker, c.account_id, c.data_type, n.newest_day, max(c.finished_at) AS told_at
        FROM covered c
        JOIN (SELECT broker, account_id, data_type, max(last_day) AS newest_day FROM covered GROUP BY 1, 2, 3) AS n
          USING (broker, account_id, data_type)
        WHERE c.last_day = n.newest_day AND (c.broker = 'FUTU' OR c.account_id IN (SELECT account_id FROM asked))
        GROUP BY 1, 2, 3, 4
    ), sources AS (
        SELECT broker, account_id, CASE broker WHEN 'FUTU' THEN 'orders and deals' ELSE 'statements' END AS source,
               CASE broker WHEN 'FUTU' THEN 'Asia/Hong_Kong' ELSE 'America/New_York' END AS zone, min(told_at) AS told_at,
               max(newest_day) AS newest_day, array_agg(data_type) AS data_types
        FROM reached GROUP BY 1, 2
    )
    SELECT s.broker, s.account_id, s.source, s.newest_day, s.told_at, s.data_types,
           (SELECT sum(extract(epoch FROM least(now(), hours.until) - greatest(s.told_at, hours.since))) / 3600
            FROM generate_series((s.told_at AT TIME ZONE s.zone)::date, (now() AT TIME ZONE s.zone)::date,
                                 interval '1 day') AS day
            CROSS JOIN LATERAL (
                SELECT day::date::timestamp AT TIME ZONE s.zone AS since,
                       (day::date + 1)::timestamp AT TIME ZONE s.zone AS until
            ) AS hours
            WHERE extract(isodow FROM day) < 6
              AND (SELECT bool_or(m.is_session) IS NOT false FROM market_days m
                   WHERE m.on_date = day::date AND (s.broker = 'FUTU' OR m.calendar = 'XNYS'))) AS hours
    FROM sources s;
COMMENT ON VIEW source_ages IS 'The newest day of every source of an account, when it was told, and how many hours of business days ago.';
