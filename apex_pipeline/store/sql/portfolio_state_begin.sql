INSERT INTO portfolio_state (initial_capital, closed_equity) VALUES (%(initial_capital)s, %(initial_capital)s)
ON CONFLICT (id) DO NOTHING
