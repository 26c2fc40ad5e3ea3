SELECT * FROM positions WHERE position_id = %(position_id)s
