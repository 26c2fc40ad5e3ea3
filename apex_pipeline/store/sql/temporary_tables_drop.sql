SELECT drop_temporary_tables()
