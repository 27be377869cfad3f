"""What has been applied, and how the files compare with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from plugins.migrations.errors import MigrationError
from plugins.migrations.files import Migration

State = Literal["applied", "pending", "edited", "missing", "out of order"]
Files = Mapping[str, Sequence[Migration]]


class Applied(msgspec.Struct, frozen=True):
    """A row of the record: what was applied, and when."""

    namespace: str
    version: str
    name: str
    checksum: str
    applied_at: str

    @property
    def label(self) -> str:
        """What it was called: ``20260131120000_notes``."""
        return f"{self.version}_{self.name}"


Record = Mapping[tuple[str, int], Applied]


class Entry(msgspec.Struct, frozen=True):
    """One migration, as its file and the record have it; `problem` says what stops the boot, and what to do."""

    namespace: str
    order: int
    label: str
    state: State
    migration: Migration | None = None
    applied: Applied | None = None
    problem: str | None = None


def by_key(rows: Iterable[Applied]) -> Record:
    """Return rows by namespace and version."""
    return {(row.namespace, int(row.version)): row for row in rows}


def entries(files: Files, record: Record) -> list[Entry]:
    """Return every migration there is or was, namespace by namespace, in order."""
    return [entry for namespace in files for entry in _of(namespace, files[namespace], record)]


def pending(files: Files, record: Record) -> list[Migration]:
    """Return what the record lacks; raises `MigrationError` where the files and it disagree."""
    found = entries(files, record)
    problems = [entry.problem for entry in found if entry.problem is not None]
    if problems:
        more = f" (and {len(problems) - 1} more; see: kernel migrate status)" if len(problems) > 1 else ""
        raise MigrationError(problems[0] + more)
    return [entry.migration for entry in found if entry.state == "pending" and entry.migration is not None]


def _of(namespace: str, migrations: Iterable[Migration], record: Record) -> Iterator[Entry]:
    files = {migration.order: migration for migration in migrations}
    applied = {order: row for (owner, order), row in record.items() if owner == namespace}
    newest = applied[max(applied)] if applied else None
    for order in sorted({*files, *applied}):
        migration, row = files.get(order), applied.get(order)
        if migration is not None:
            yield _with_file(migration, row, newest)
        elif row is not None:
            problem = (
                f"the migration {row.label}.sql of {namespace} was applied on {row.applied_at} (checksum "
                f"{row.checksum}) but its file is missing; bring it back"
            )
            yield Entry(namespace, order, row.label, "missing", None, row, problem)


def _with_file(migration: Migration, row: Applied | None, newest: Applied | None) -> Entry:
    state: State = "pending"
    problem = None
    if row is None and newest is not None and migration.order < int(newest.version):
        state = "out of order"
        problem = (
            f"{migration.path} (checksum {migration.checksum}) comes before {newest.label}.sql "
            f"(checksum {newest.checksum}), which is applied already; give it a later timestamp"
        )
    elif row is not None and row.checksum != migration.checksum:
        state = "edited"
        problem = (
            f"{migration.path} was edited after it was applied on {row.applied_at}: its checksum is "
            f"{migration.checksum}, the applied one's {row.checksum}; bring the old text back and write the "
            "change as a new migration"
        )
    elif row is not None:
        state = "applied"
    return Entry(migration.namespace, migration.order, migration.label, state, migration, row, problem)
