"""What a shell offers for the values of options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from kernel.errors import KernelError

if TYPE_CHECKING:
    from plugins.migrations.plugin import MigrationsPlugin

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def namespaces(plugin: MigrationsPlugin) -> Complete:
    """Return what offers the plugins that have migrations."""

    def offered() -> Iterator[CompletionItem]:
        for name, migrations in plugin.files().items():
            if migrations:
                yield CompletionItem(name, help=f"{len(migrations)} migrations")

    return lambda _context, _parameter, incomplete: _starting(offered(), incomplete)


def versions(plugin: MigrationsPlugin) -> Complete:
    """Return what offers the timestamps of the migrations of ``--namespace``, with their names."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        def offered() -> Iterator[CompletionItem]:
            namespace = context.params.get("namespace") or plugin.project_namespace
            for migration in plugin.files().get(namespace, ()):
                yield CompletionItem(migration.label.partition("_")[0], help=migration.name)

        return _starting(offered(), incomplete)

    return complete


def _starting(offered: Iterator[CompletionItem], incomplete: str) -> list[CompletionItem]:
    found: list[CompletionItem] = []
    with suppress(KernelError):  # a shell that asks has no place to show an error; the command will say it
        found += (item for item in offered if item.value.startswith(incomplete))
    return found
