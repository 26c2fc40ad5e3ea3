DELETE FROM positions WHERE position_id = ANY (%(ids)s)
