-- These are the alerts of a kind that stand now: those not known begin, those not told any more end.
WITH told AS (
    SELECT * FROM ROWS FROM (
        jsonb_to_recordset(%(alerts)s::jsonb)
            AS (fingerprint text COLLATE "C", severity text, subject text, line text, advice text)
    ) WITH ORDINALITY AS t (fingerprint, severity, subject, line, advice, place)
), ended AS (
    UPDATE alerts SET ended_at = greatest(opened_at, %(at)s)
    WHERE kind = %(kind)s AND ended_at IS NULL AND fingerprint NOT IN (SELECT fingerprint FROM told)
)
INSERT INTO alerts (kind, fingerprint, severity, subject, line, advice, opened_at)
SELECT %(kind)s, fingerprint, severity, subject, line, advice, %(at)s FROM told ORDER BY place
ON CONFLICT (fingerprint) WHERE ended_at IS NULL DO NOTHING
