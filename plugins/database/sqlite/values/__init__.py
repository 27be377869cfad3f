"""PostgreSQL's values as SQLite keeps them: reading literals, checking ranges, writing text."""
