"""``kernel migrate``: write, apply, undo and list migrations."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kernel.cli import output
from kernel.cli.base import Group, json_option
from kernel.errors import nearest
from plugins.migrations.completion import namespaces, versions
from plugins.migrations.errors import MigrationError
from plugins.migrations.files import Migration, read_names
from plugins.migrations.progress import opened, progress, told
from plugins.migrations.record import Entry, entries
from plugins.migrations.rehearsals import add_plan, add_verify
from plugins.migrations.runner import Loss

if TYPE_CHECKING:
    from plugins.migrations.plugin import MigrationsPlugin

F = TypeVar("F", bound=Callable[..., Any])

_SKELETON = "-- up\n\n\n-- down\n\n"
_PROBLEM, _PENDING = 1, 4
_STYLES = {
    "applied": "green", "pending": "yellow", "edited": "bold red", "missing": "bold red", "out of order": "bold red",
}  # fmt: skip
_COLUMNS = {"namespace": "Of", "migration": "Migration", "state": "State", "applied_at": "Applied"}


def migrate_group(plugin: MigrationsPlugin) -> click.Group:
    """Return the commands, bound to a registered plugin."""

    @click.group("migrate", cls=Group, examples=("kernel migrate new create_posts", "kernel migrate up"))
    def migrate() -> None:
        """Change the database's schema, step by step.

        A migration is a file of plain SQL in the folder migrations, applied once, in the order of the files'
        timestamps. The server applies what is new when it starts; these commands write, rehearse, apply and undo.
        Plugins bring migrations of their own, which come first.
        """

    _add_new(migrate, plugin)
    _add_up(migrate, plugin)
    _add_down(migrate, plugin)
    _add_status(migrate, plugin)
    add_plan(migrate, plugin)
    add_verify(migrate, plugin)
    return migrate


def _add_new(group: Group, plugin: MigrationsPlugin) -> None:
    @group.command("new", examples=("kernel migrate new create_posts",))
    @click.argument("name")
    def new(name: str) -> None:
        """Write an empty migration called NAME into the project's folder, later than all there are.

        Its section '-- up' says what to do, '-- down' how to undo it. Lines above all SQL: '-- lock-timeout: 5s'
        bounds how long a statement waits for a lock; '-- no-transaction' lets statements run that PostgreSQL refuses
        within a transaction, like create index concurrently. To write another text for one engine, add a file
        <timestamp>_name.sqlite.sql or <timestamp>_name.postgresql.sql.
        """
        output.say(write_new(plugin, name))


def write_new(plugin: MigrationsPlugin, name: str) -> str:
    """Write an empty migration and return its path; its timestamp is later than all others'."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not plain:
        raise MigrationError(f"{name!r} makes no file name; use letters and digits, like: create_posts")
    latest = max(read_names(plugin.folder), default=0)
    version = max(int(f"{plugin.kernel.clock.now():%Y%m%d%H%M%S}"), latest + 1)
    path = plugin.folder / f"{version}_{plain}.sql"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_SKELETON, encoding="utf-8")
    except OSError as error:
        raise MigrationError(f"{path} cannot be written: {error.strerror}") from error
    return str(path)


def namespace_option(plugin: MigrationsPlugin) -> Callable[[F], F]:
    """Add ``--namespace``; None is the project's own."""
    return click.option(
        "--namespace",
        metavar="PLUGIN",
        is_eager=True,  # a shell that completes --to must know it
        shell_complete=namespaces(plugin),
        help="The plugin whose migrations are meant; the project's if not given.",
    )


def _add_up(group: Group, plugin: MigrationsPlugin) -> None:
    @group.command(
        "up",
        examples=(
            "kernel migrate up",
            "kernel migrate up --to 20260131120000",
            "kernel migrate up --dry-run",
        ),
    )
    @click.option(
        "--to",
        "version",
        metavar="VERSION",
        shell_complete=versions(plugin),
        help="Apply none after this timestamp.",
    )
    @namespace_option(plugin)
    @click.option("--dry-run", is_flag=True, help="Only say which would be applied.")
    @json_option
    def up(version: str | None, namespace: str | None, dry_run: bool, as_json: bool) -> None:
        """Apply what has not been applied, as the server does when it starts.

        Each file happens as a whole or not at all, together with its record. The first that fails ends the command
        with exit code 1; those before it stay. What a file would do, and whether it can be undone, is shown by
        kernel migrate plan and kernel migrate verify.
        """
        with opened(plugin):
            if version is not None:
                entry = _find(plugin, namespace, version)
                plugin.last = (entry.namespace, entry.order)
            if dry_run:
                _tell("would apply", list(plugin.pending()), as_json, "Nothing to apply.")
                return
            plugin.around = progress
            plugin.kernel.prepare()
            _tell("applied", plugin.applied, as_json, "Nothing to apply.")


def _tell(done: str, migrations: Sequence[Migration], as_json: bool, nothing: str) -> None:
    """Say what was done with migrations."""
    if output.wants_json(as_json):
        output.json(
            [
                {"done": done, "namespace": one.namespace, "migration": one.label, "path": str(one.path)}
                for one in migrations
            ]
        )
        return
    for migration in migrations:
        output.say(f"{done} {told(migration)}")
    if not migrations:
        output.say(nothing)


def _find(plugin: MigrationsPlugin, namespace: str | None, version: str) -> Entry:
    """Return the one migration of a timestamp."""
    found = {str(entry.order): entry for entry in _entries(plugin, namespace)}
    plain = version.partition("_")[0].lstrip("0") or "0"
    if plain not in found:
        raise MigrationError(
            f"no migration has the timestamp {version}{nearest(plain, found)}; see: kernel migrate status"
        )
    return found[plain]


def _entries(plugin: MigrationsPlugin, namespace: str | None) -> list[Entry]:
    """Return a namespace's migrations; the project's for None."""
    files = plugin.files()
    wanted = namespace or plugin.project_namespace
    if wanted not in files:
        raise MigrationError(
            f"no plugin with migrations is called {wanted!r}{nearest(wanted, files)}; see: kernel migrate status"
        )
    return [entry for entry in entries(files, plugin.runner().recorded()) if entry.namespace == wanted]


def _add_down(group: Group, plugin: MigrationsPlugin) -> None:
    @group.command(
        "down",
        examples=(
            "kernel migrate down",
            "kernel migrate down --steps 2",
            "kernel migrate down --to 20260131120000",
        ),
    )
    @click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Undo the last N; 1 if not given.")
    @click.option(
        "--to",
        "version",
        metavar="VERSION",
        shell_complete=versions(plugin),
        help="Undo all after this timestamp; 0 for all.",
    )
    @namespace_option(plugin)
    @click.option("--yes", is_flag=True, help="Lose the rows that dropped tables and columns hold.")
    @json_option
    def down(steps: int | None, version: str | None, namespace: str | None, yes: bool, as_json: bool) -> None:
        """Undo the last migration, or several, the last one first, by their sections '-- down'.

        Where that drops tables or columns that hold rows, it says how many, and asks; without a terminal it refuses
        with exit code 1 unless you say --yes. A migration without '-- down' cannot be undone: write a new one that
        does it. The server would apply what is undone at its next start, unless the file goes too.
        """
        if steps is not None and version is not None:
            raise click.UsageError("say --steps or --to, not both")
        with opened(plugin), plugin.kernel.locked():
            undone = _undoable(plugin, namespace, version, steps or 1)
            runner = plugin.runner()
            losses = runner.losses(undone)
            if losses and not yes:
                _confirm(losses)
            done: list[Migration] = []
            try:
                for migration in undone:
                    with progress(migration):
                        runner.undo(migration, losing=bool(losses))
                    done.append(migration)
            finally:
                if done or not undone:
                    _tell("undone", done, as_json, "Nothing to undo.")


def _undoable(
    plugin: MigrationsPlugin, namespace: str | None, version: str | None, steps: int
) -> list[Migration]:
    """Return what to undo, the last one first; raises `MigrationError` where one of them cannot be."""
    if version is not None and version.strip("0"):
        after = _find(plugin, namespace, version).order
    else:
        after = 0 if version is not None else -1
    applied = [entry for entry in _entries(plugin, namespace) if entry.applied is not None][::-1]
    chosen = applied[:steps] if after < 0 else [entry for entry in applied if entry.order > after]
    undone = []
    for entry in chosen:
        if entry.problem is not None or entry.migration is None:
            raise MigrationError(f"{entry.label} cannot be undone as it stands: {entry.problem}")
        if not entry.migration.reversible:
            raise MigrationError(
                f"{entry.migration.path} says nothing in a section '-- down', so it cannot be undone; write a new "
                f"migration that does it: kernel migrate new undo_{entry.migration.name}"
            )
        undone.append(entry.migration)
    return undone


def _confirm(losses: list[Loss]) -> None:
    """Say what would be lost, and ask; raises `MigrationError` for a no, and where nobody can be asked."""
    for loss in losses:
        output.say(f"{loss.label} drops {told_loss(loss)}", sys.stderr)
    if not sys.stdin.isatty():
        raise MigrationError("rows would be lost, so nothing was undone; if you mean it, say --yes")
    if not click.confirm("Lose them?", err=True):
        raise MigrationError("nothing was undone")


def told_loss(loss: Loss) -> str:
    """Say what would be lost."""
    rows = f"{loss.rows} row{'' if loss.rows == 1 else 's'}"
    table = f"{loss.dropped.schema}.{loss.dropped.table}"
    if loss.dropped.column is None:
        return f"the table {table} with {rows}"
    return f"the column {loss.dropped.column} of {table}, which has a value in {rows}"


def _add_status(group: Group, plugin: MigrationsPlugin) -> None:
    @group.command(
        "status", examples=("kernel migrate status", "kernel migrate status --json | jq '.[].state'")
    )
    @json_option
    def status(as_json: bool) -> None:
        """List all migrations: applied, pending, edited, missing or out of order.

        The last three stop the server's start, and what to do about them is said. Exit code: 0 if all are applied,
        1 if one stops the start, 4 if some are pending. Nothing is changed.
        """
        with opened(plugin):
            found = entries(plugin.files(), plugin.runner().recorded())
        output.table(
            [_row(entry) for entry in found],
            _COLUMNS,
            as_json=as_json,
            empty="There are no migrations yet; write one with: kernel migrate new NAME",
            styles=_STYLES,
        )
        problems = [entry.problem for entry in found if entry.problem is not None]
        for problem in problems:
            output.fail(problem)
        if problems:
            sys.exit(_PROBLEM)
        if any(entry.state == "pending" for entry in found):
            sys.exit(_PENDING)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "namespace": entry.namespace,
        "migration": entry.label,
        "state": entry.state,
        "applied_at": entry.applied.applied_at if entry.applied is not None else None,
        "path": str(entry.migration.path) if entry.migration is not None else None,
        "checksum": entry.migration.checksum if entry.migration is not None else None,
        "applied_checksum": entry.applied.checksum if entry.applied is not None else None,
        "reversible": entry.migration.reversible if entry.migration is not None else None,
        "problem": entry.problem,
    }
