"""The Database contract on PostgreSQL, through libpq."""
