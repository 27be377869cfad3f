"""Writing transactions on SQLite: one at a time in a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import (
    Compiled,
    DatabaseError,
    DatabaseUnavailable,
    Params,
    RequestSettings,
    Row,
)
from kernel.identity import Identity
from plugins.database import rights
from plugins.database.changes import sqlite as changes
from plugins.database.sqlite import errors, rebuilding, references, steps, violations
from plugins.database.sqlite.catalogue import catalogue as catalogues
from plugins.database.sqlite.connections import Guarded, run
from plugins.database.sqlite.statements import Plan
from plugins.database.transaction import EngineTransaction

if TYPE_CHECKING:
    from plugins.database.sqlite.database import SqliteDatabase


# Naming a violated key may mean looking through a large table, with everyone else's writes waiting.
_EXPLAINING_SECONDS = 0.25


class SqliteTransaction(EngineTransaction):
    """A transaction on the process's one writing connection."""

    def __init__(
        self,
        database: SqliteDatabase,
        identity: Identity | None = None,
        settings: RequestSettings | None = None,
    ) -> None:
        super().__init__(database.publish, database.writing, identity)
        self._database = database
        self._settings = settings
        self._writer: Guarded | None = None
        self._catalogue: Catalogue | None = None
        self._logged = False

    def _begin(self) -> None:
        """Wait for the writer and begin."""
        connections = self._database.connections
        if not connections.write_lock.acquire(timeout=connections.limits.busy_timeout):
            raise DatabaseUnavailable(
                "the database is locked by another writer of this process",
                sqlstate="55P03",
                hint="Try again.",
            )
        try:
            self._writer = connections.writer()
            self._database.prepare_file()
            self._begin_on(self._writer)
        except BaseException as error:
            connection = self._writer.connection if self._writer is not None else None
            if self._writer is not None:
                self._rollback()
            self._release()
            if isinstance(error, apsw.Error):
                raise connections.refusal(error, catalogues.EMPTY, connection) from error
            raise

    def _begin_on(self, writer: Guarded) -> None:
        writer.begin()
        writer.connection.execute("BEGIN IMMEDIATE")

    def _command(self, sql: str) -> None:
        connection = self._open().connection
        try:
            connection.execute(sql)
        except apsw.Error as error:
            raise self._database.connections.refusal(error, self._known(), connection) from error

    def _before_commit(self, connection: apsw.Connection) -> None:
        """Do what belongs into the transaction's end."""

    def _commit(self) -> None:
        connection = self._open().connection
        try:
            self._before_commit(connection)
            if self._undone:
                self._undo(connection)
                return
            self._database.connections.check_file()
            connection.execute("COMMIT")
            self._logged = self._open().logged
        except BaseException as error:
            self._rollback()
            if isinstance(error, apsw.Error):
                raise self._database.connections.refusal(error, self._known(), connection) from error
            raise

    def _undo(self, connection: apsw.Connection) -> None:
        if steps.hanging(connection):
            self._check_references()
        connection.execute("ROLLBACK")

    def _rollback(self) -> None:
        connection = self._open().connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _release(self) -> None:
        self._writer = None
        self._database.connections.write_lock.release()
        if self._logged:
            self._database.announce()

    def _open(self) -> Guarded:
        if self._writer is None:
            raise DatabaseError("the transaction has ended", sqlstate="25P01")
        return self._writer

    def _known(self) -> Catalogue:
        return self._catalogue or self._database.known

    def _plan(self, text: str) -> Plan:
        plan = self._database.plans.plan(text, self._known(), rights.role_of(self._identity))
        if plan.kind == "schema":
            raise DatabaseError(
                f"{plan.tag} changes the schema", sqlstate="25001", hint="Use schema_transaction() for it."
            )
        return plan

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        if isinstance(statement, Compiled):
            rights.check(statement, self._identity)
            return self._execute(statement.sql, params)
        return self._run_plan(self._plan(statement), params)

    def _run_plan(self, plan: Plan, params: Params) -> tuple[list[Row], int]:
        rows, count = self._run_steps(plan, params) if plan.steps else self._execute(plan.sql, params)
        return (rows[:1] or [(None,) * plan.width] if plan.width else rows), count

    def _run_steps(self, plan: Plan, params: Params) -> tuple[list[Row], int]:
        connection = self._open().connection
        hung = steps.hanging(connection)
        with steps.carried(connection, plan) as carried:
            for step in plan.steps:
                carried.begin(step)
                carried.keep(step, self._execute(step.sql, {**params, **carried.params})[0])
            result = self._execute(plan.sql, {**params, **carried.params})
            if not hung and steps.hanging(connection):
                self._check_references()
        return result

    def _check_references(self, pragma: str = "foreign_key_check") -> None:
        writer = self._open()
        writer.start()
        try:
            broken = writer.connection.execute(f"PRAGMA {pragma}").fetchall()
        except apsw.Error as error:
            raise self._database.connections.refusal(error, self._known()) from error
        finally:
            writer.stop()
        if broken:
            raise references.missing_row(broken[0], writer.connection, self._known())

    def _execute(self, sql: str, params: Params) -> tuple[list[Row], int]:
        writer = self._open()
        try:
            return _execute(writer, sql, params, self._identity, self._settings)
        except Exception as error:
            raise self._refusal(error, writer, sql, params) from error

    def _refusal(self, error: Exception, writer: Guarded, sql: str, params: Params) -> DatabaseError:
        refusal = self._explained(error, writer, sql, params)
        role = rights.role_of(self._identity)
        if role is not None and refusal.sqlstate.startswith("23"):
            violations.keep_to_what_is_seen(refusal, self._known(), role)
        return refusal

    def _explained(self, error: Exception, writer: Guarded, sql: str, params: Params) -> DatabaseError:
        catalogue = self._known()
        writer.start(_EXPLAINING_SECONDS)
        try:
            if errors.is_reference(error):
                return references.broken_reference(error, writer.connection, catalogue, sql, params)
            refusal = self._database.connections.refusal(error, catalogue, writer.connection)
            if refusal.sqlstate == "23505":
                violations.name_the_key(refusal, writer.connection, catalogue, sql, params)
            return refusal
        finally:
            writer.stop()


def _execute(
    writer: Guarded, sql: str, params: Params, identity: Identity | None, settings: RequestSettings | None
) -> tuple[list[Row], int]:
    before = writer.connection.total_changes()
    rows = run(writer, sql, params, identity, settings)
    wrote = writer.connection.total_changes() != before
    return rows, writer.connection.changes() if wrote else len(rows)


class SqliteSchemaTransaction(SqliteTransaction):
    """A transaction that changes the schema: foreign keys are checked once, before its commit."""

    _changes_schema = True

    def _begin_on(self, writer: Guarded) -> None:
        # The pragma does nothing inside a transaction; nobody else uses the writer between here and the end.
        writer.connection.pragma("foreign_keys", False)
        super()._begin_on(writer)
        self._catalogue = catalogues.read_within(writer.connection)

    def _plan(self, text: str) -> Plan:
        return self._database.translate(text, self._known())

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        if isinstance(statement, Compiled):
            return super()._run(statement, params)
        plan = self._plan(statement)
        if plan.kind != "schema":
            return self._run_plan(plan, params)
        self._change(plan)
        return [], 0

    def _change(self, plan: Plan) -> None:
        writer = self._open()
        connection, before = writer.connection, self._known()
        self._catalogue = catalogues.apply(before, plan.changes)
        writer.start()
        try:
            changes.drop_triggers(connection, before, plan.changes)
            connection.execute(plan.sql).fetchall()
            for rebuild in plan.rebuilds:
                rebuilding.run(connection, rebuild)
            catalogues.write(connection, plan.changes)
            changes.create_triggers(connection, self._catalogue, plan.changes)
            for table in plan.checked:
                self._check_references(f"foreign_key_check({table})")
        except Exception as error:
            known = violations.naming(plan, self._catalogue)
            refusal = self._database.connections.refusal(error, known, connection)
            raise violations.of_existing_rows(refusal, error, plan) from error
        finally:
            writer.stop()

    def _before_commit(self, connection: apsw.Connection) -> None:
        self._check_references()
        catalogues.bump(connection)

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.connection.pragma("foreign_keys", True)
        self._database.forget_catalogue()
        super()._release()
