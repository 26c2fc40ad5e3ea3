-- S03. The mean confidence of an account's groups of a day, against those of the 90 days before: more than a tenth and more
-- than four standard errors away is not chance. A group belongs to the day of its first order; what a person said counts
-- nothing. Ten groups make a day and a hundred a past: fewer say nothing.
WITH spans AS (
    SELECT account_id, strategy_uid, min(trade_date) AS day, max(confidence) AS confidence
    FROM order_strategy_map
    WHERE method <> 'manual' AND trade_date BETWEEN %(from_date)s::date - 90 AND %(to_date)s
    GROUP BY 1, 2
), days AS (
    SELECT account_id, day, count(*) AS n, sum(confidence) AS total, sum(confidence * confidence) AS squares
    FROM spans GROUP BY 1, 2
), compared AS (
    SELECT account_id, day, n, total / n AS mean, sum(n) OVER past AS past_n, sum(total) OVER past AS past_total,
           sum(squares) OVER past AS past_squares
    FROM days
    WINDOW past AS (PARTITION BY account_id ORDER BY day RANGE BETWEEN '90 days' PRECEDING AND '1 day' PRECEDING)
), judged AS (
    SELECT *, past_total / past_n AS past_mean,
           sqrt(greatest(past_squares / past_n - (past_total / past_n) ^ 2, 0) / n) AS error
    FROM compared WHERE n >= 10 AND past_n >= 100
)
SELECT (SELECT min(o.broker) FROM orders_norm o WHERE o.account_id = j.account_id) AS broker, j.account_id,
       j.account_id AS subject, j.day AS business_date, round(j.past_mean, 3) AS expected, round(j.mean, 3) AS actual,
       'WARN' AS severity, NULL AS cause, jsonb_build_object('groups', j.n, 'groups_before', j.past_n) AS evidence
FROM judged j
WHERE j.day BETWEEN %(from_date)s AND %(to_date)s AND abs(j.mean - j.past_mean) > greatest(0.1, 4 * j.error)
ORDER BY 3, 4
