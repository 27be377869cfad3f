"""What the commands share: the kernel they open, and what a terminal shows while one works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kernel.cli import output
from kernel.contracts.database import DatabaseError
from plugins.migrations.errors import MigrationError

if TYPE_CHECKING:
    from kernel import Kernel
    from plugins.migrations.files import Migration
    from plugins.migrations.plugin import MigrationsPlugin


@contextmanager
def opened(plugin: MigrationsPlugin) -> Iterator[Kernel]:
    """Give the plugin's kernel, and stop it afterwards: a command opens the database without a start.

    Raises `MigrationError` for what the database refuses, which a command tells in one line.
    """
    try:
        yield plugin.kernel
    except DatabaseError as error:
        reasons = [error.detail, *getattr(error, "__notes__", ()), error.hint]
        more = "".join(f"; {' '.join(reason.split())}" for reason in reasons if reason)
        raise MigrationError(f"the database: {error}{more}") from error
    finally:
        plugin.kernel.stop()


@contextmanager
def progress(migration: Migration) -> Iterator[None]:
    """Show on a terminal which migration is at work, and for how long."""
    if not output.on_terminal(sys.stderr):
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(told(migration), total=None)
        yield


def told(migration: Migration) -> str:
    """Name a migration."""
    return f"{migration.label} of {migration.namespace}"
