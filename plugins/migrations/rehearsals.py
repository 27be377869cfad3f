"""``kernel migrate verify`` and ``plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.cli.base import Group

if TYPE_CHECKING:
    from plugins.migrations.plugin import MigrationsPlugin


def add_rehearsals(group: Group, plugin: MigrationsPlugin) -> None:
    """Add the commands."""
