"""Expressions: from PostgreSQL's nodes to SQLite's SQL with a type."""
