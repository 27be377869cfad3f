"""The plugin: finds the folders, and applies their files before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kernel import Plugin, hookimpl
from kernel.contracts.database import Database
from kernel.contracts.schema import SchemaWork

if TYPE_CHECKING:
    import click

    from plugins.migrations.files import Migration
    from plugins.migrations.runner import Around, Runner

FOLDER = "migrations"
PROJECT = "(project)"  # no plugin can be called that


class MigrationsPlugin(Plugin):
    """Plain SQL migrations of the project and of plugins."""

    name = "migrations"
    requires = (Database, SchemaWork)

    around: Around | None = None
    """What shows that a migration is at work; a boot only logs when one is done."""

    last: tuple[str, int] | None = None
    """The namespace and timestamp beyond which a command has nothing of that namespace applied."""

    applied: Sequence[Migration] = ()
    """What this process applied when it prepared."""

    @hookimpl
    def kernel_prepare(self) -> None:
        """Apply what has not been applied."""
        from plugins.migrations.runner import quietly

        self.applied = self.runner().apply(self.files(), self.wants, self.around or quietly)

    project_namespace = PROJECT

    def pending(self) -> list[Migration]:
        """Return what preparing would apply; raises `MigrationError` where the files and the record disagree."""
        from plugins.migrations.record import pending

        return [
            migration
            for migration in pending(self.files(), self.runner().recorded())
            if self.wants(migration)
        ]

    def wants(self, migration: Migration) -> bool:
        """Tell whether a migration is to be applied."""
        return self.last is None or migration.namespace != self.last[0] or migration.order <= self.last[1]

    @hookimpl
    def kernel_commands(self) -> Iterable[click.Command]:
        """Offer ``kernel migrate``."""
        from plugins.migrations.commands import migrate_group

        yield migrate_group(self)

    @hookimpl
    def kernel_starter_files(self) -> Mapping[str, str]:
        """Begin a project with a first table."""
        example = Path(__file__).with_name("notes.sql").read_text(encoding="utf-8")
        return {f"{FOLDER}/{self.kernel.clock.now():%Y%m%d%H%M%S}_notes.sql": example}

    @hookimpl
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:
        """Say where the tables come from."""
        return {"Then": [f"{FOLDER}/\tplain SQL files, applied when the server starts"]}

    @property
    def folder(self) -> Path:
        """Where the project's own migrations are."""
        return self.kernel.config.project.resolve() / FOLDER

    def files(self) -> Mapping[str, Sequence[Migration]]:
        """Read all migrations: the plugins' in dependency order, then the project's."""
        from plugins.migrations.errors import MigrationError
        from plugins.migrations.files import read_folder

        engine = self.kernel.services[Database].engine
        found: dict[str, Sequence[Migration]] = {}
        owners: dict[Path, str] = {}
        for namespace, folder in self._folders():
            found[namespace] = read_folder(folder, namespace, engine)
            other = owners.setdefault(folder, namespace) if found[namespace] else namespace
            if other != namespace:
                raise MigrationError(
                    f"{folder} stands beside two plugins, {other!r} and {namespace!r}, and would be applied for "
                    "both; move one of them into a package of its own"
                )
        return found

    def _folders(self) -> Iterator[tuple[str, Path]]:
        for record in self.kernel.records:
            folder = _beside(record.cls)
            if folder is not None:
                yield record.name, folder
        yield PROJECT, self.folder

    def runner(self) -> Runner:
        """Return what compares and applies."""
        from plugins.migrations.runner import Runner

        _ = self.kernel.data  # made if need be: commands open the database without a start
        services = self.kernel.services
        return Runner(services[Database], services[SchemaWork], self.kernel.clock)


def _beside(cls: type[Plugin]) -> Path | None:
    """Return the folder for migrations beside a plugin class's module; None where that is in no package.

    What stands beside a single module is not its own: another's files, or the project's.
    """
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if file is None or not getattr(module, "__package__", None):
        return None
    return Path(file).resolve().parent / FOLDER
