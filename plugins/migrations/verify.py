"""Rehearses migrations, up, down and up again, and compares what each leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import NoCopy, SchemaWork, Scratch
from plugins.migrations.differences import Difference, differences
from plugins.migrations.files import Migration
from plugins.migrations.record import Files, Record, entries, pending
from plugins.migrations.runner import Around, failure

Result = Literal["ok", "fails", "differs", "none"]


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it should be: at which stage, and, where that is known, at which place."""

    stage: str
    what: str
    namespace: str | None = None
    migration: str | None = None
    table: str | None = None
    column: str | None = None


class Rehearsed(msgspec.Struct):
    """How one migration did; None is what it did not get to, ``none`` a section that is not there."""

    namespace: str
    migration: str
    up: Result | None = None
    down: Result | None = None
    again: Result | None = None


class Rehearsal(msgspec.Struct, frozen=True):
    """Migrations rehearsed in one place, and what was found; or why there was no such place."""

    where: str
    migrations: list[Rehearsed]
    problems: list[Problem]
    not_tried: str | None = None


class Verifier:
    """Rehearses the pending migrations of one database; with `everything`, those that are applied too."""

    def __init__(
        self,
        database: Database,
        work: SchemaWork,
        files: Files,
        record: Record,
        *,
        everything: bool,
        around: Around,
    ) -> None:
        """Raises `MigrationError` where files and record disagree."""
        self._database = database
        self._work = work
        self._pending = pending(files, record)
        self._applied = [
            entry.migration
            for entry in entries(files, record)
            if entry.state == "applied" and entry.migration is not None
        ]
        self._fresh = [migration for migrations in files.values() for migration in migrations]
        self._everything = everything
        self._around = around

    def run(self) -> list[Rehearsal]:
        """Rehearse in an empty place, then with rows where there can be a copy.

        Raises `DatabaseError` where there is no place at all.
        """
        with self._work.scratch() as scratch:
            empty, after = self._from_empty(scratch)
            if after is None:
                return [empty]
            self._compare_with_fresh(after, scratch, empty.problems)
        return [empty, self._with_rows(after)] if self._pending else [empty]

    def _from_empty(self, scratch: Scratch) -> tuple[Rehearsal, Catalogue | None]:
        """Rehearse from nothing; the catalogue afterwards is None where that failed."""
        rehearsal = Rehearsal(scratch.where, [], [])
        if self._everything:
            if not self._cycle(self._applied, scratch, rehearsal):
                return rehearsal, None
        elif not _replay(self._applied, scratch, rehearsal.problems):
            return rehearsal, None
        if self._applied:
            found = differences(scratch.catalogue, self._database.catalogue)
            rehearsal.problems.extend(_problems("the database", found))
        done = self._cycle(self._pending, scratch, rehearsal)
        return rehearsal, scratch.catalogue if done else None

    def _compare_with_fresh(self, replayed: Catalogue, scratch: Scratch, problems: list[Problem]) -> None:
        """Compare with a database that is made today, where all plugins' files come before the project's."""
        scratch.clear()
        if _replay(self._fresh, scratch, problems):
            problems.extend(_problems("from scratch", differences(scratch.catalogue, replayed)))

    def _with_rows(self, expected: Catalogue) -> Rehearsal:
        try:
            with self._work.copy() as scratch:
                rehearsal = Rehearsal(scratch.where, [], [])
                if self._cycle(self._pending, scratch, rehearsal):
                    found = differences(expected, scratch.catalogue)
                    rehearsal.problems.extend(_problems("with rows", found))
                return rehearsal
        except NoCopy as error:
            return Rehearsal("a copy of the database", [], [], str(error))

    def _cycle(self, migrations: Iterable[Migration], scratch: Scratch, rehearsal: Rehearsal) -> bool:
        """Take each up, down and up again; False where it cannot go on."""
        for migration in migrations:
            rehearsed = Rehearsed(migration.namespace, migration.label)
            rehearsal.migrations.append(rehearsed)
            with self._around(migration):
                if not _cycle(migration, scratch, rehearsed, rehearsal.problems):
                    return False
        return True


def _cycle(migration: Migration, scratch: Scratch, rehearsed: Rehearsed, problems: list[Problem]) -> bool:
    before = scratch.catalogue
    rehearsed.up = _try(migration, "up", scratch, problems)
    if rehearsed.up == "fails":
        return False
    after = scratch.catalogue
    if not migration.reversible:
        rehearsed.down = "none"
        return True
    rehearsed.down = _try(migration, "down", scratch, problems, before)
    if rehearsed.down == "fails":
        return True  # it left all as it was
    rehearsed.again = _try(migration, "up again", scratch, problems, after)
    return rehearsed.again != "fails"


def _try(
    migration: Migration,
    stage: str,
    scratch: Scratch,
    problems: list[Problem],
    expected: Catalogue | None = None,
) -> Result:
    """Run a section, and compare with what is `expected` afterwards."""
    sql = (migration.down or "") if stage == "down" else migration.up
    try:
        scratch.run(sql, alone=migration.alone)
    except DatabaseError as error:
        what = str(failure(migration, sql, error, "undone" if stage == "down" else "applied"))
        problems.append(Problem(stage, what, migration.namespace, migration.label))
        return "fails"
    found = differences(expected, scratch.catalogue) if expected is not None else []
    problems.extend(_problems(stage, found, migration))
    return "differs" if found else "ok"


def _replay(migrations: Sequence[Migration], scratch: Scratch, problems: list[Problem]) -> bool:
    return all(_try(migration, "up", scratch, problems) == "ok" for migration in migrations)


def _problems(
    stage: str, found: Iterable[Difference], migration: Migration | None = None
) -> Iterable[Problem]:
    namespace, label = (migration.namespace, migration.label) if migration is not None else (None, None)
    for difference in found:
        yield Problem(stage, difference.what, namespace, label, difference.table, difference.column)
