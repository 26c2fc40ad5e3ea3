-- A05. What the query behind each account's newest statement leaves out, and what cannot be known without it. A section
-- without rows tells nothing of its fields, so a gap stands until a later statement of the query has what was missing.
-- Not bound to a day: the same gap is the same row however many statements show it.
WITH told AS (
    SELECT account_id, business_date, generated_at, payload ->> 'query' AS query, payload -> 'sections' AS sections
    FROM sections_raw_ib WHERE payload ->> '_section' = '_query'
), newest AS (
    SELECT DISTINCT ON (account_id) account_id, query FROM told
    ORDER BY account_id, business_date DESC, generated_at DESC NULLS LAST, query
), lacking AS (
    SELECT g.broker, g.account_id, g.query, g.section, g.field, min(g.needed_for) AS needed_for, max(g.business_date) AS last_seen
    FROM query_gaps g JOIN newest n USING (account_id, query) GROUP BY 1, 2, 3, 4, 5
)
SELECT l.broker, l.account_id, l.query || ' ' || l.section || CASE WHEN l.field = '' THEN '' ELSE '.' || l.field END AS subject,
       NULL::date AS business_date, 1::numeric AS expected, 0::numeric AS actual, 'WARN' AS severity,
       'REFERENCE_DATA' AS cause,
       jsonb_build_object('query', l.query, 'section', l.section, 'field', l.field, 'needed_for', l.needed_for) AS evidence
FROM lacking l
WHERE %(from_date)s::date <= %(to_date)s::date AND NOT EXISTS (
    SELECT FROM told t
    WHERE (t.account_id, t.query) = (l.account_id, l.query) AND t.business_date >= l.last_seen
      AND CASE WHEN l.field = '' THEN t.sections ? l.section ELSE t.sections -> l.section ? l.field END)
ORDER BY 3
