"""Applies migrations and undoes them, each once and in one transaction with its record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import msgspec

from kernel import Clock
from kernel.contracts.database import Database, DatabaseError, Transaction
from kernel.contracts.schema import Dropped, SchemaTransaction, SchemaWork
from plugins.migrations.errors import MigrationError
from plugins.migrations.files import Migration
from plugins.migrations.record import Applied, Files, Record, by_key, pending

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
_FORGET = "delete from kernel.migrations where namespace = :namespace and version = :version"

_DEADLOCK = "40P01"
_TRIES = 5

_log = logging.getLogger("kernel.migrations")

Around = Callable[[Migration], AbstractContextManager[None]]
"""What is entered while one migration is at work."""


def quietly(_: Migration) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


class Loss(msgspec.Struct, frozen=True):
    """Rows that undoing a migration loses: a table's, or those that have a value in one of its columns."""

    label: str
    dropped: Dropped
    rows: int


class Runner:
    """Works on one database, in the order given."""

    def __init__(self, database: Database, work: SchemaWork, clock: Clock) -> None:
        self._database = database
        self._work = work
        self._clock = clock

    def recorded(self) -> Record:
        """Return what was applied, by namespace and version."""
        if ("kernel", "migrations") not in self._database.catalogue.tables:
            return {}
        return by_key(Applied(*row) for row in self._database.query(_RECORDED))

    def apply(self, files: Files, wanted: Callable[[Migration], bool], around: Around) -> list[Migration]:
        """Apply what is pending and `wanted`, and return it.

        Raises `MigrationError` where files and record disagree, and for the one that fails; those before it stay
        applied.
        """
        if not any(map(wanted, pending(files, self.recorded()))):
            return []
        with self._work.turn(_waiting):
            todo = [migration for migration in pending(files, self.recorded()) if wanted(migration)]
            return [migration for migration in todo if self._apply(migration, around)]

    def _apply(self, migration: Migration, around: Around) -> bool:
        """Apply one file; False where another process has done it meanwhile."""
        with around(migration):
            try:
                done = self._apply_alone(migration) if migration.alone else self._apply_undisturbed(migration)
            except DatabaseError as error:
                raise failure(migration, migration.up, error) from error
        if done:
            _log.info("migration applied", extra=_fields(migration))
        return done

    def _apply_undisturbed(self, migration: Migration) -> bool:
        """Apply one file; once more where a deadlock with somebody else was resolved to our disadvantage."""
        for _ in range(_TRIES - 1):
            try:
                return self._apply_within(migration)
            except DatabaseError as error:
                if error.sqlstate != _DEADLOCK:
                    raise
                _log.info("migration met a deadlock; trying again", extra=_fields(migration))
        return self._apply_within(migration)

    def _apply_within(self, migration: Migration) -> bool:
        with self._work.transaction(migration.lock_timeout) as transaction:
            if self._is_recorded(migration, transaction):
                return False
            transaction.script(migration.up)
            transaction.execute(_RECORD, self._values(migration))
        return True

    def _apply_alone(self, migration: Migration) -> bool:
        with self._work.transaction() as transaction:
            if self._is_recorded(migration, transaction):
                return False
        self._work.alone(migration.up, migration.lock_timeout)
        with self._work.transaction() as transaction:
            transaction.execute(_RECORD, self._values(migration))
        return True

    def losses(self, migrations: Iterable[Migration]) -> list[Loss]:
        """Return what undoing migrations, in this order, would lose; all is done for that, and rolled back."""
        found: list[Loss] = []
        try:
            with self._work.transaction() as transaction:
                for migration in migrations:
                    found += self._run_down(migration, transaction)
                raise _Undone
        except _Undone:
            return found

    def undo(self, migration: Migration, *, losing: bool) -> None:
        """Undo one migration; raises `MigrationError` where it fails or, unless `losing`, would lose rows."""
        try:
            if migration.alone and migration.down is not None:
                self._work.alone(migration.down, migration.lock_timeout)
            with self._work.transaction(migration.lock_timeout) as transaction:
                lost = [] if migration.alone else self._run_down(migration, transaction)
                if lost and not losing:
                    raise MigrationError(
                        f"{migration.path}: rows came in meanwhile that it would lose; look again"
                    )
                transaction.execute(_FORGET, _key(migration))
        except DatabaseError as error:
            raise failure(migration, migration.down or "", error, "undone") from error
        _log.info("migration undone", extra=_fields(migration))

    def _run_down(self, migration: Migration, transaction: SchemaTransaction) -> list[Loss]:
        """Run the down section, counting before each statement what it loses."""
        found: list[Loss] = []
        try:
            for statement in self._work.statements(migration.down or ""):
                for dropped in self._work.drops(statement, transaction.catalogue):
                    rows = _count(dropped, transaction)
                    found += [Loss(migration.label, dropped, rows)] if rows else []
                if not migration.alone:
                    transaction.script(statement)
        except DatabaseError as error:
            raise failure(migration, migration.down or "", error, "undone") from error
        return found

    def _is_recorded(self, migration: Migration, transaction: Transaction) -> bool:
        transaction.script(_TABLE)
        rows = transaction.query(
            f"{_RECORDED} where namespace = :namespace and version = :version", _key(migration)
        )
        return not pending({migration.namespace: [migration]}, by_key(Applied(*row) for row in rows))

    def _values(self, migration: Migration) -> dict[str, str]:
        return {
            **_key(migration),
            "name": migration.name,
            "checksum": migration.checksum,
            "applied_at": self._clock.now().isoformat(),
        }


class _Undone(Exception):
    """Rolls a transaction back."""


def _waiting() -> None:
    _log.info("waiting for another process that is migrating")


def _count(dropped: Dropped, transaction: Transaction) -> int:
    counted = "*" if dropped.column is None else _quoted(dropped.column)
    table = f"{_quoted(dropped.schema)}.{_quoted(dropped.table)}"
    ((rows,),) = transaction.query(f"select count({counted}) from {table}")  # noqa: S608 - quoted names
    return int(rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _key(migration: Migration) -> dict[str, str]:
    return {"namespace": migration.namespace, "version": migration.version}


def _fields(migration: Migration) -> dict[str, str]:
    return {**_key(migration), "migration": migration.name}


def failure(migration: Migration, sql: str, error: DatabaseError, done: str = "applied") -> MigrationError:
    """Return the error of a file whose section `sql` failed: file, line, statement, cause, and what stays.

    `done` is what would have been: ``applied``, ``undone``.
    """
    where, statement = str(migration.path), (error.statement or "").strip()
    position = sql.find(statement) if statement else -1
    if position >= 0:
        line = sql.count("\n", 0, position) + 1
        where += f", line {line}, in {_shortened(statement)!r}"
    # An engine that names the statement itself need not be heard twice.
    detail = None if statement and statement in (error.detail or "") else error.detail
    reasons = (detail, error.hint, *getattr(error, "__notes__", ()))
    more = "".join(f"; {text.rstrip('.')}" for text in reasons if text)
    stays = (
        "it runs outside a transaction, so the statements before this one stay, and an index that could not be "
        "finished has to be dropped"
        if migration.alone
        else f"nothing of it was {done}"
    )
    return MigrationError(f"{where}: {error.message} (SQLSTATE {error.sqlstate}){more}; {stays}")


def _shortened(statement: str, limit: int = 80) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
