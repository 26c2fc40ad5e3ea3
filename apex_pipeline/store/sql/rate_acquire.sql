-- One grant, or the seconds until the oldest grant leaves the window. The lock makes counting and granting one step.
SELECT pg_advisory_xact_lock(hashtextextended('apex:rate:' || %(budget)s, 0));
DELETE FROM rate_grants WHERE budget = %(budget)s AND granted_at <= clock_timestamp() - make_interval(secs => %(window)s);
WITH held AS (
    SELECT count(*) AS grants, min(granted_at) AS oldest FROM rate_grants WHERE budget = %(budget)s
), granted AS (
    INSERT INTO rate_grants (budget, granted_at)
    SELECT %(budget)s, clock_timestamp() FROM held WHERE grants < %(limit)s
    RETURNING granted_at
)
SELECT CASE WHEN EXISTS (SELECT FROM granted) THEN 0
            ELSE greatest(0.001, extract(epoch FROM oldest + make_interval(secs => %(window)s) - clock_timestamp()))
       END::double precision AS wait
FROM held
