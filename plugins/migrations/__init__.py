"""Plain SQL migrations of the project and of plugins."""

from plugins.migrations.plugin import MigrationsPlugin

__all__ = ["MigrationsPlugin"]
