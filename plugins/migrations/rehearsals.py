"""``kernel migrate plan`` and ``verify``: what migrations would do, tried where nobody notices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kernel.cli import output
from kernel.cli.base import Group, json_option
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import Lock, SchemaWork
from plugins.migrations.errors import MigrationError
from plugins.migrations.plan import Planned, PlannedStep, Planner, Touched
from plugins.migrations.progress import opened, progress
from plugins.migrations.verify import Problem, Rehearsal, Verifier

if TYPE_CHECKING:
    from plugins.migrations.plugin import MigrationsPlugin

_BREAKING = 3
_COLUMNS = {"namespace": "Of", "migration": "Migration", "up": "Up", "down": "Down", "again": "Up again"}
_STYLES = {"ok": "green", "none": "dim", "differs": "bold red", "fails": "bold red"}


def add_plan(group: Group, plugin: MigrationsPlugin) -> None:
    """Add ``plan``."""

    @group.command("plan", examples=("kernel migrate plan", "kernel migrate plan --json | jq '.[].breaking'"))
    @json_option
    def plan(as_json: bool) -> None:
        """Show what pending migrations would do: their SQL, locks, rewritten tables, and what breaks the API.

        They are tried on an empty copy of the schema, made from the migrations that are applied: a database in
        memory, or on PostgreSQL one that is made and dropped (or, where the login may not, a transaction that is
        rolled back). Locks and rewritten tables are what the engine did there; rows are counted in the database
        itself. Breaking is what clients can do now and could not afterwards: tables, columns and rights that are
        gone or renamed, types that hold less, columns that have to be given or are no longer null.

        Exit code: 0 if nothing breaks, 3 if something does, 1 if a migration fails. Nothing is changed.
        """
        with opened(plugin) as kernel, _told():
            planner = Planner(kernel.services[Database], kernel.services[SchemaWork], progress)
            planned = planner.plan(plugin.files(), plugin.runner().recorded())
        if output.wants_json(as_json):
            output.json(planned)
        elif not planned:
            output.say("Nothing is pending.")
        for migration in [] if output.wants_json(as_json) else planned:
            _show(migration)
        if any(migration.breaking for migration in planned):
            sys.exit(_BREAKING)


def _show(planned: Planned) -> None:
    output.say(output.styled(f"{planned.migration} of {planned.namespace}", bold=True))
    if not planned.transaction:
        output.say("  runs outside a transaction: if a statement fails, those before it stay")
    if planned.lock_timeout is not None:
        output.say(f"  waits {planned.lock_timeout:g} s for a lock")
    if not planned.reversible:
        output.say("  cannot be undone: it has no section '-- down'")
    for step in planned.steps:
        _show_step(step)
    for difference in planned.breaking:
        output.say(f"  {output.styled('breaks', fg='red', bold=True)} {difference}")


def _show_step(step: PlannedStep) -> None:
    for line in step.sql.splitlines():
        output.say(f"  {line}")
    if step.locks is None:
        output.say("    locks are not known: the login may not make a database to see them in")
    for lock in step.locks or ():
        output.say(f"    {output.styled('locks', fg='yellow')} {_told_lock(lock)}")
    for word, touched in (("rewrites", step.rewrites), ("drops", step.drops)):
        for one in touched:
            output.say(f"    {output.styled(word, fg='yellow')} {_told_touched(one)}")


def _told_lock(lock: Lock) -> str:
    place = f"{lock.schema}.{lock.table}, {lock.mode}" if lock.table is not None else "the whole database"
    return f"{place}: {lock.blocks} wait" if lock.blocks != "nothing" else f"{place}: nothing waits"


def _told_touched(touched: Touched) -> str:
    rows = "too many rows to count" if touched.rows is None else f"{touched.rows} rows"
    if touched.column is None:
        return f"{touched.table}, {rows}"
    return f"{touched.table}, column {touched.column}, which has a value in {rows}"


def add_verify(group: Group, plugin: MigrationsPlugin) -> None:
    """Add ``verify``."""

    @group.command("verify", examples=("kernel migrate verify", "kernel migrate verify --all"))
    @click.option("--all", "everything", is_flag=True, help="Rehearse also what is applied already.")
    @json_option
    def verify(everything: bool, as_json: bool) -> None:
        """Rehearse pending migrations: up, down, up again, and compare what that leaves behind.

        Undone, a migration must leave the schema as it was before; applied again, as it was the first time. Also
        compared are the database itself with what its applied migrations make, and a database made from scratch
        with one that was migrated step by step. It says where it rehearses: on SQLite in memory, on PostgreSQL in a
        database that is made and dropped, or, where the login may not, in a transaction that is rolled back. What
        is pending is then tried on a copy of the database, rows and all; where there can be none, it says why.

        Exit code: 0 if all is as it should be, 1 if not. The database is not changed.
        """
        with opened(plugin) as kernel, _told():
            verifier = Verifier(
                kernel.services[Database],
                kernel.services[SchemaWork],
                plugin.files(),
                plugin.runner().recorded(),
                everything=everything,
                around=progress,
            )
            found = verifier.run()
        if output.wants_json(as_json):
            output.json(found)
        else:
            for rehearsal in found:
                _show_rehearsal(rehearsal)
        if any(rehearsal.problems for rehearsal in found):
            sys.exit(1)


def _show_rehearsal(rehearsal: Rehearsal) -> None:
    output.say(output.styled(f"In {rehearsal.where}:", bold=True))
    if rehearsal.not_tried is not None:
        output.say(
            f"{output.styled('!', fg='yellow', bold=True)} the rows were not tried: {rehearsal.not_tried}"
        )
        return
    rows = [{column: getattr(one, column) for column in _COLUMNS} for one in rehearsal.migrations]
    if rows:
        output.draw(rows, _COLUMNS, _STYLES)
    for problem in rehearsal.problems:
        output.say(f"{output.styled('✗', fg='red', bold=True)} {_told_problem(problem)}")
    if not rehearsal.problems:
        output.say(f"{output.styled('✓', fg='green', bold=True)} all is as it should be")


_STAGES = {
    "the database": "the database is not what its migrations make",
    "from scratch": "migrated step by step it is not what it would be from scratch",
    "with rows": "with the rows it is not what it is without",
}


def _told_problem(problem: Problem) -> str:
    stage = _STAGES.get(problem.stage) or f"{problem.migration}, {problem.stage}"
    place = ", column ".join(filter(None, (problem.table, problem.column)))
    return f"{stage}: {place + ': ' if place else ''}{problem.what}"


@contextmanager
def _told() -> Iterator[None]:
    """Say in one line where there is no place to rehearse in."""
    try:
        yield
    except DatabaseError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise MigrationError(f"there is no place to rehearse in: {error}{hint}") from error
