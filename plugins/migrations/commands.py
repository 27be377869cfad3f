"""``kernel migrate``: write, apply and list migrations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from plugins.migrations.errors import MigrationError
from plugins.migrations.files import read_folder

if TYPE_CHECKING:
    from plugins.migrations.plugin import MigrationsPlugin

_SKELETON = "-- up\n\n\n-- down\n\n"


def migrate_group(plugin: MigrationsPlugin) -> click.Group:
    """Return the commands, bound to a registered plugin."""

    @click.group("migrate", help="The database's migrations.")
    def migrate() -> None:
        pass

    @migrate.command("new", help="Write an empty migration called NAME into the project's folder.")
    @click.argument("name")
    def new(name: str) -> None:
        click.echo(write_new(plugin, name))

    @migrate.command("up", help="Apply what has not been applied, as the server does when it starts.")
    def up() -> None:
        kernel = plugin.kernel
        runner = plugin.runner()
        before = len(runner.recorded())
        try:
            kernel.prepare()
            applied = len(runner.recorded()) - before
        finally:
            kernel.stop()
        click.echo(f"{applied} applied" if applied else "Nothing to apply.")

    @migrate.command("status", help="List all migrations and when they were applied.")
    def status() -> None:
        try:
            for line in status_lines(plugin):
                click.echo(line)
        finally:
            plugin.kernel.stop()

    return migrate


def write_new(plugin: MigrationsPlugin, name: str) -> str:
    """Write an empty migration and return its path; its timestamp is later than all others'."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not plain:
        raise MigrationError(f"{name!r} makes no file name; use letters and digits, like: create_posts")
    versions = [migration.order for migration in read_folder(plugin.folder, "")]
    version = max(int(f"{plugin.kernel.clock.now():%Y%m%d%H%M%S}"), max(versions, default=0) + 1)
    path = plugin.folder / f"{version}_{plain}.sql"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_SKELETON, encoding="utf-8")
    except OSError as error:
        raise MigrationError(f"{path} cannot be written: {error.strerror}") from error
    return str(path)


def status_lines(plugin: MigrationsPlugin) -> list[str]:
    """Return a line for each migration; raises `MigrationError` where files and record disagree."""
    files, runner = plugin.files(), plugin.runner()
    record = runner.recorded()
    runner.pending(files)
    lines, width = [], max(map(len, files))
    for namespace, migrations in files.items():
        for migration in migrations:
            row = record.get((namespace, migration.order))
            when = f"applied {row.applied_at}" if row is not None else "pending"
            lines.append(f"{namespace:{width}}  {migration.version}_{migration.name}  {when}")
    return lines or ["There are no migrations yet; write one with: kernel migrate new NAME"]
