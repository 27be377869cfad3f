"""The embedded database: PostgreSQL's SQL on SQLite."""

from plugins.database.plugin import DatabasePlugin

__all__ = ["DatabasePlugin"]
