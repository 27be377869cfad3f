"""Writing transactions: one at a time in a process, all or nothing, events after the commit."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING

import apsw

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import NO_PARAMS, Compiled, DatabaseError, DatabaseUnavailable, Params, Row
from kernel.events import Event
from kernel.identity import Identity
from plugins.database.sqlite import catalogue as catalogues
from plugins.database.sqlite import errors, rights, violations
from plugins.database.sqlite.connections import Guarded, run
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Plan

if TYPE_CHECKING:
    from plugins.database.sqlite.database import SqliteDatabase


# Naming a violated key may mean looking through a large table, with everyone else's writes waiting.
_EXPLAINING_SECONDS = 0.25


class SqliteTransaction:
    """A transaction on the process's one writing connection; used as a context manager, once."""

    def __init__(self, database: SqliteDatabase, identity: Identity | None = None) -> None:
        self._database = database
        self._identity = identity
        self._events: list[Event] = []
        self._failed = False
        self._writer: Guarded | None = None
        self._catalogue: Catalogue | None = None

    def query(self, statement: str | Compiled, params: Params = NO_PARAMS) -> list[Row]:
        """Run one statement and return its rows."""
        return self._run(statement, params)[0]

    def execute(self, statement: str | Compiled, params: Params = NO_PARAMS) -> int:
        """Run one statement and return how many rows it changed, or returned if it only reads."""
        return self._run(statement, params)[1]

    def script(self, sql: str) -> None:
        """Run several statements of PostgreSQL's SQL, in order."""
        self._usable()
        try:
            statements = self._database.split(sql)
        except DatabaseError:
            self._failed = True
            raise
        for statement in statements:
            try:
                self._run(statement, NO_PARAMS)
            except DatabaseError as error:
                error.statement = statement
                raise

    def publish(self, event: Event) -> None:
        """Publish `event` after the commit."""
        self._events.append(event)

    def __enter__(self) -> SqliteTransaction:
        """Wait for the writer and begin."""
        database = self._database
        lock = database.connections.write_lock
        if database.writing_thread == threading.get_ident():
            raise DatabaseError(
                "there is already a transaction in progress in this thread",
                sqlstate="25001",
                hint="Pass the transaction on; transactions do not nest.",
            )
        if not lock.acquire(timeout=database.connections.limits.busy_timeout):
            raise DatabaseUnavailable(
                "the database is locked by another writer of this process",
                sqlstate="55P03",
                hint="Try again.",
            )
        database.writing_thread = threading.get_ident()
        try:
            database.prepare_file()
            self._writer = database.connections.writer()
            self._begin(self._writer)
        except BaseException as error:
            self._release()
            if isinstance(error, apsw.Error):
                raise errors.translate(error, catalogues.EMPTY) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit, or roll back if the block raised or a statement had failed; then publish."""
        try:
            if kind is None and not self._failed:
                self._commit()
            else:
                self._rollback()
        finally:
            self._release()
        if kind is None:
            if self._failed:
                raise DatabaseError(
                    "the transaction was rolled back: one of its statements had failed", sqlstate="25P02"
                )
            self._database.publish(self._events)

    def _begin(self, writer: Guarded) -> None:
        writer.begin()
        writer.connection.execute("BEGIN IMMEDIATE")

    def _before_commit(self, connection: apsw.Connection) -> None:
        """Do what belongs into the transaction's end."""

    def _commit(self) -> None:
        connection = self._open().connection
        try:
            self._before_commit(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            self._rollback()
            if isinstance(error, apsw.Error):
                raise errors.translate(error, self._known()) from error
            raise

    def _rollback(self) -> None:
        connection = self._open().connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _release(self) -> None:
        self._writer = None
        self._database.writing_thread = None
        self._database.connections.write_lock.release()

    def _open(self) -> Guarded:
        if self._writer is None:
            raise DatabaseError("the transaction has ended", sqlstate="25P01")
        return self._writer

    def _usable(self) -> None:
        if self._failed:
            raise DatabaseError(
                "current transaction is aborted, commands ignored until end of transaction block",
                sqlstate="25P02",
            )

    def _known(self) -> Catalogue:
        return self._catalogue or self._database.catalogue

    def _plan(self, text: str) -> Plan:
        plan = self._database.plans.plan(text, self._known())
        if plan.kind == "schema":
            raise DatabaseError(
                f"{plan.tag} changes the schema", sqlstate="25001", hint="Use schema_transaction() for it."
            )
        return plan

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        self._usable()
        writer = self._open()
        sql = ""
        try:
            rights.check(statement, self._identity)
            sql = statement.sql if isinstance(statement, Compiled) else self._plan(statement).sql
            return _execute(writer, sql, params)
        except Exception as error:
            self._failed = True
            raise self._refusal(error, writer, sql, params) from error

    def _refusal(self, error: Exception, writer: Guarded, sql: str, params: Params) -> DatabaseError:
        catalogue = self._known()
        writer.start(_EXPLAINING_SECONDS)
        if violations.is_reference(error):
            return violations.broken_reference(error, writer.connection, catalogue, sql, params)
        refusal = errors.translate(error, catalogue)
        if refusal.sqlstate == "23505":
            violations.name_the_key(refusal, writer.connection, catalogue, sql, params)
        return refusal


def _execute(writer: Guarded, sql: str, params: Params) -> tuple[list[Row], int]:
    before = writer.connection.total_changes()
    rows = run(writer, sql, params)
    wrote = writer.connection.total_changes() != before
    return rows, writer.connection.changes() if wrote else len(rows)


class SqliteSchemaTransaction(SqliteTransaction):
    """A transaction that changes the schema: foreign keys are checked once, before its commit."""

    def _begin(self, writer: Guarded) -> None:
        # The pragma does nothing inside a transaction; nobody else uses the writer between here and the end.
        writer.connection.pragma("foreign_keys", False)
        super()._begin(writer)
        self._catalogue = catalogues.read_within(writer.connection)

    def _plan(self, text: str) -> Plan:
        return self._database.translate(text, self._known())

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        if isinstance(statement, Compiled):
            return super()._run(statement, params)
        self._usable()
        try:
            plan = self._plan(statement)
        except DatabaseError:
            self._failed = True
            raise
        try:
            result = super()._run(Compiled(plan.sql), params) if plan.sql else ([], 0)
        except DatabaseError as error:
            if error.sqlstate == "23000" and plan.violation is not None:
                raise plan.violation from error
            raise
        if plan.kind != "schema":
            return result
        catalogues.write(self._open().connection, plan.changes)
        self._catalogue = catalogues.apply(self._known(), plan.changes)
        if plan.drops:
            self._check_views(plan.drops)
        return [], 0

    def _check_views(self, dropped: str) -> None:
        """Raise 2BP01 if a view has lost what it reads: SQLite would notice only when it is read."""
        connection = self._open().connection
        for view in self._known().tables.values():
            if view.kind != "view":
                continue
            sql = f"SELECT * FROM {quote(engine_name(view.schema, view.name))} LIMIT 0"  # noqa: S608
            try:
                connection.execute(sql).fetchall()
            except apsw.SQLError as error:
                self._failed = True
                raise DatabaseError(
                    f"cannot drop {dropped} because other objects depend on it",
                    sqlstate="2BP01",
                    detail=f"view {view.name} depends on {dropped}",
                    hint="Drop the dependent objects first.",
                ) from error

    def _before_commit(self, connection: apsw.Connection) -> None:
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise violations.missing_row(broken[0], connection, self._known())
        catalogues.bump(connection)

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.connection.pragma("foreign_keys", True)
        self._database.forget_catalogue()
        super()._release()
