"""``kernel backup``, ``kernel restore`` and ``kernel db``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from kernel.cli import output
from kernel.cli.base import Command, Group, json_option
from kernel.contracts.database import DatabaseError
from kernel.errors import explain
from plugins.database.backup.archive import BackupError, Manifest, Progress

if TYPE_CHECKING:
    from plugins.database.plugin import DatabasePlugin

_FILE = click.Path(path_type=Path, dir_okay=False)


def _schemes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return how a database's URL begins."""
    return [
        scheme for scheme in ("postgresql://", "sqlite:///", "sqlite:////") if scheme.startswith(incomplete)
    ]


def backup_command(plugin: DatabasePlugin) -> click.Command:
    """Return ``kernel backup``, bound to a registered plugin."""

    @click.command("backup", cls=Command, examples=("kernel backup monday.backup",))
    @click.argument("file", type=_FILE)
    @json_option
    def backup(file: Path, as_json: bool) -> None:
        """Write the database, and the files that belong to it, into one new FILE.

        The project may be served meanwhile. FILE holds secrets: it is readable by its owner alone.
        """
        from plugins.database.backup.project import back_up

        try:
            with bar("Copying") as progress:
                manifest = back_up(plugin.kernel, plugin.place(), file, progress)
        finally:
            plugin.kernel.stop()
        _tell(f"{file} is written", manifest, as_json)

    return backup


def restore_command(plugin: DatabasePlugin) -> click.Command:
    """Return ``kernel restore``, bound to a registered plugin."""

    @click.command(
        "restore",
        cls=Command,
        examples=(
            "kernel restore --verify monday.backup",
            "kernel restore monday.backup",
            "kernel restore --yes monday.backup",
        ),
    )
    @click.argument("file", type=_FILE)
    @click.option("--verify", is_flag=True, help="Only read FILE to its end and check it; change nothing.")
    @click.option("--yes", is_flag=True, help="Replace the database and files that are here.")
    @json_option
    def restore(file: Path, verify: bool, yes: bool, as_json: bool) -> None:
        """Put back what FILE, written by `kernel backup`, holds.

        It is checked first. Either all of it is put back or nothing is changed; the server must not be running.
        """
        from plugins.database.backup import project as backup

        try:
            with bar("Checking" if verify else "Restoring") as progress:
                if verify:
                    manifest = backup.verify(plugin.place(), file, progress)
                else:
                    manifest = backup.restore(plugin.kernel, plugin.place(), file, progress, confirmed=yes)
        finally:
            plugin.kernel.stop()
        _tell(f"{file} is whole" if verify else f"{file} is restored", manifest, as_json)

    return restore


def db_group(plugin: DatabasePlugin) -> click.Group:
    """Return ``kernel db``, bound to a registered plugin."""

    @click.group(
        "db", cls=Group, examples=("kernel db copy --to postgresql://app:secret@db.example.com/app",)
    )
    def db() -> None:
        """Work on databases as a whole."""

    @db.command(
        "copy",
        examples=(
            "kernel db copy --to postgresql://app:secret@db.example.com/app",
            "kernel db copy --from postgresql://app:secret@db.example.com/app --to sqlite:////srv/app.db",
        ),
    )
    @click.option(
        "--from",
        "source",
        metavar="URL",
        shell_complete=_schemes,
        help="Where the rows are; the project's database if not given.",
    )
    @click.option(
        "--to", "target", metavar="URL", required=True, shell_complete=_schemes, help="Where they go."
    )
    @click.option("--yes", is_flag=True, help="Replace the rows that are in the target.")
    @json_option
    def copy(source: str | None, target: str, yes: bool, as_json: bool) -> None:
        """Copy all rows from one database into another, of the same engine or the other.

        The project's migrations make the tables in the target first. The rows are compared afterwards, by number and
        by checksum. What is interrupted is begun again by the next try. Stop the server before: what is written to
        the source meanwhile is not copied.
        """
        from plugins.database.copying.copying import between

        try:
            with bar("Copying", in_bytes=False) as progress:
                sums = between(plugin.kernel, source, target, progress, confirmed=yes)
        finally:
            plugin.kernel.stop()
        columns = {"table": "Table", "rows": "Rows", "checksum": "Checksum"}
        output.table(
            [msgspec.structs.asdict(one) for one in sums],
            columns,
            as_json=as_json,
            empty="There are no tables.",
        )

    return db


@contextmanager
def bar(what: str, *, in_bytes: bool = True) -> Iterator[Progress]:
    """Show on a terminal's stderr how far it is, in bytes or in rows; an error of the database is one line."""
    try:
        with _shown(what, in_bytes=in_bytes) as progress:
            yield progress
    except DatabaseError as error:
        raise BackupError(f"the database: {explain(error)}") from error


@contextmanager
def _shown(what: str, *, in_bytes: bool) -> Iterator[Progress]:
    if not output.on_terminal(sys.stderr):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _tell(what: str, manifest: Manifest, as_json: bool) -> None:
    if output.wants_json(as_json):
        output.json(manifest)
        return
    from rich.filesize import decimal

    size = sum(member.size for member in manifest.members.values())
    files = len(manifest.members) - 1
    output.say(
        f"{what}: a database of {manifest.engine} as of {manifest.created}"
        f"{f' and {files} more files' if files > 1 else ' and one more file' if files else ''}, {decimal(size)}"
    )
