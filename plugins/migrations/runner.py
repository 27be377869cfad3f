"""Applies what has not been applied, each file once and in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from kernel import Clock
from kernel.contracts.database import Database, DatabaseError, Transaction
from plugins.migrations.errors import MigrationError
from plugins.migrations.files import Migration

_TABLE = """
create schema if not exists kernel;
create table if not exists kernel.migrations (
    namespace text not null,
    version text not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null,
    primary key (namespace, version)
);
"""
_RECORDED = "select namespace, version, name, checksum, applied_at from kernel.migrations"
_RECORD = (
    "insert into kernel.migrations (namespace, version, name, checksum, applied_at) "
    "values (:namespace, :version, :name, :checksum, :applied_at)"
)

_log = logging.getLogger("kernel.migrations")


class Applied(msgspec.Struct, frozen=True, order=True):
    """A row of the record: what was applied, and when."""

    namespace: str
    version: str
    name: str
    checksum: str
    applied_at: str


Record = Mapping[tuple[str, int], Applied]


class Runner:
    """Compares files with the record in the database and applies the rest, in the order given."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def recorded(self) -> Record:
        """Return what was applied, by namespace and version."""
        if ("kernel", "migrations") not in self._database.catalogue.tables:
            return {}
        return _by_key(Applied(*row) for row in self._database.query(_RECORDED))

    def pending(self, namespaces: Mapping[str, Sequence[Migration]]) -> list[Migration]:
        """Return what is still to apply; raises `MigrationError` where files and record disagree."""
        record = self.recorded()
        return [
            migration
            for namespace, migrations in namespaces.items()
            for migration in compare(namespace, migrations, record)
        ]

    def apply(self, namespaces: Mapping[str, Sequence[Migration]]) -> list[Migration]:
        """Apply what is still to apply and return it. Raises `MigrationError`; files before that one stay applied."""
        return [migration for migration in self.pending(namespaces) if self._apply(migration)]

    def _apply(self, migration: Migration) -> bool:
        """Apply one file; False where another process has done it meanwhile."""
        try:
            with self._database.schema_transaction() as transaction:
                transaction.script(_TABLE)
                if self._is_recorded(migration, transaction):
                    return False
                transaction.script(migration.up)
                transaction.execute(_RECORD, {**_key(migration), **self._values(migration)})
        except DatabaseError as error:
            raise _failure(migration, error) from error
        _log.info(
            "migration applied",
            extra={
                "namespace": migration.namespace,
                "version": migration.version,
                "migration": migration.name,
            },
        )
        return True

    def _is_recorded(self, migration: Migration, transaction: Transaction) -> bool:
        rows = transaction.query(
            f"{_RECORDED} where namespace = :namespace and version = :version", _key(migration)
        )
        return not list(compare(migration.namespace, [migration], _by_key(Applied(*row) for row in rows)))

    def _values(self, migration: Migration) -> dict[str, str]:
        return {
            "name": migration.name,
            "checksum": migration.checksum,
            "applied_at": self._clock.now().isoformat(),
        }


def compare(namespace: str, migrations: Iterable[Migration], record: Record) -> Iterator[Migration]:
    """Yield what the record lacks; raises `MigrationError` for a file that is edited, missing or too late."""
    applied = {order: row for (owner, order), row in record.items() if owner == namespace}
    newest = max(applied, default=-1)
    for migration in migrations:
        row = applied.pop(migration.order, None)
        if row is None:
            if migration.order < newest:
                last = record[namespace, newest]
                raise MigrationError(
                    f"{migration.path} (checksum {migration.checksum}) comes before {last.version}_{last.name}.sql "
                    f"(checksum {last.checksum}), which is applied already; give it a later timestamp"
                )
            yield migration
        elif row.checksum != migration.checksum:
            raise MigrationError(
                f"{migration.path} was edited after it was applied on {row.applied_at}: its checksum is "
                f"{migration.checksum}, the applied one's {row.checksum}; bring the old text back and write the "
                "change as a new migration"
            )
    for row in sorted(applied.values()):
        raise MigrationError(
            f"the migration {row.version}_{row.name}.sql of {namespace} was applied on {row.applied_at} (checksum "
            f"{row.checksum}) but its file is missing; bring it back"
        )


def _by_key(rows: Iterable[Applied]) -> Record:
    return {(row.namespace, int(row.version)): row for row in rows}


def _key(migration: Migration) -> dict[str, str]:
    return {"namespace": migration.namespace, "version": migration.version}


def _failure(migration: Migration, error: DatabaseError) -> MigrationError:
    where, statement = str(migration.path), (error.statement or "").strip()
    position = migration.up.find(statement) if statement else -1
    if position >= 0:
        line = migration.up.count("\n", 0, position) + 1
        where += f", line {line}, in {_shortened(statement)!r}"
    # An engine that names the statement itself need not be heard twice.
    detail = None if statement and statement in (error.detail or "") else error.detail
    more = "".join(f"; {text.rstrip('.')}" for text in (detail, error.hint) if text)
    return MigrationError(
        f"{where}: {error.message} (SQLSTATE {error.sqlstate}){more}; nothing of it was applied"
    )


def _shortened(statement: str, limit: int = 80) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
