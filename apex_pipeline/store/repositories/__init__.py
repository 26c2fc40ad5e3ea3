"""Named questions to the database, grouped by what they are about."""
