SELECT %(strategy)s AS strategy, count(*) AS runs, max(total_return) AS best_return,
       round(avg(total_return), 10) AS mean_return, min(total_return) AS worst_return,
       round(avg(sharpe), 10) AS mean_sharpe, min(max_drawdown) AS worst_drawdown
FROM backtests WHERE strategy = %(strategy)s
