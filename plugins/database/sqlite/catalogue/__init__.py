"""The catalogue in the file: tables, views and types in PostgreSQL's terms."""
