"""What pending migrations would do: their SQL for this engine, locks, rewritten tables, and what breaks."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import Lock, SchemaWork, Scratch, Step
from plugins.migrations.breaking import breaking
from plugins.migrations.differences import Difference
from plugins.migrations.files import Migration
from plugins.migrations.record import Files, Record, entries, pending
from plugins.migrations.runner import Around, failure


class Touched(msgspec.Struct, frozen=True):
    """A table, or one of its columns, and how many rows it has now; None where that took too long to count."""

    table: str
    column: str | None
    rows: int | None


class PlannedStep(msgspec.Struct, frozen=True):
    """What one statement would do; `locks` is None where the place it was tried in cannot tell."""

    statement: str
    sql: str
    locks: tuple[Lock, ...] | None
    rewrites: list[Touched]
    drops: list[Touched]


class Planned(msgspec.Struct, frozen=True):
    """What one migration would do; `breaking` is what clients can do now and could not afterwards."""

    namespace: str
    migration: str
    path: str
    transaction: bool
    lock_timeout: float | None
    reversible: bool
    steps: list[PlannedStep]
    breaking: list[Difference]


class Planner:
    """Plans for one database."""

    def __init__(self, database: Database, work: SchemaWork, around: Around) -> None:
        self._database = database
        self._work = work
        self._around = around

    def plan(self, files: Files, record: Record) -> list[Planned]:
        """Run what is applied and then what is pending in a scratch place, and watch what it does.

        Raises `MigrationError` where files and record disagree or a file fails, `DatabaseError` where there is no
        place.
        """
        todo = pending(files, record)
        if not todo:
            return []
        with self._work.scratch() as scratch:
            for entry in entries(files, record):
                if entry.state == "applied" and entry.migration is not None:
                    _run(entry.migration, scratch)
            start = scratch.catalogue
            steps, after = [], []
            for migration in todo:
                with self._around(migration):
                    steps.append([self._planned(step) for step in _run(migration, scratch)])
                after.append(scratch.catalogue)
        return [
            Planned(
                migration.namespace,
                migration.label,
                str(migration.path),
                not migration.alone,
                migration.lock_timeout,
                migration.reversible,
                ran,
                broken,
            )
            for migration, ran, broken in zip(todo, steps, _attributed(start, after), strict=True)
        ]

    def _planned(self, step: Step) -> PlannedStep:
        catalogue = self._database.catalogue
        return PlannedStep(
            step.statement,
            step.sql,
            step.locks,
            [
                self._touched(schema, table)
                for schema, table in step.rewritten
                if catalogue.table(table, schema)
            ],
            [
                self._touched(dropped.schema, dropped.table, dropped.column)
                for dropped in self._work.drops(step.statement, catalogue)
            ],
        )

    def _touched(self, schema: str, table: str, column: str | None = None) -> Touched:
        counted = "*" if column is None else _quoted(column)
        sql = f"select count({counted}) from {_quoted(schema)}.{_quoted(table)}"  # noqa: S608 - quoted names
        rows: int | None = None
        try:
            ((rows,),) = self._database.query(sql)
        except DatabaseError as error:
            if error.sqlstate != "57014":
                raise
        return Touched(f"{schema}.{table}", column, rows)


def _attributed(start: Catalogue, after: Iterable[Catalogue]) -> list[list[Difference]]:
    """Return for each migration what it breaks of what was there before all, and what no later one mends."""
    found = [breaking(start, catalogue) for catalogue in after]
    known: set[Difference] = set()
    broken = []
    for one in found:
        broken.append(
            [difference for difference in one if difference in found[-1] and difference not in known]
        )
        known.update(one)
    return broken


def _run(migration: Migration, scratch: Scratch) -> list[Step]:
    try:
        return scratch.run(migration.up, alone=migration.alone)
    except DatabaseError as error:
        raise failure(migration, migration.up, error) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
