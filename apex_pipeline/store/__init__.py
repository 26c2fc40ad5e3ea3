"""The only room that knows SQL. A statement is a `.sql` file named as it is called; composed SQL is in `merging`."""
