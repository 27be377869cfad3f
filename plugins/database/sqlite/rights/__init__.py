"""Grants and row security on SQLite: compiled into each statement for the role that runs it."""
