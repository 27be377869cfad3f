"""The Database contract on SQLite: one file, PostgreSQL's SQL translated."""
