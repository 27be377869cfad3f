"""Writing transactions on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from plugins.database.changes import postgresql as changes
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql import errors, roles
from plugins.database.postgresql.callers import caller_of
from plugins.database.postgresql.connections import Connections
from plugins.database.postgresql.session import Session
from plugins.database.signals.postgresql import SCHEMA_CHANGED
from plugins.database.transaction import EngineTransaction

if TYPE_CHECKING:
    from plugins.database.postgresql.database import PostgresDatabase

_BEGIN = b"BEGIN READ WRITE"
_NO_WRITING = (errors.READ_ONLY, "0A000")
"""How a server that stands by refuses that."""
_UNKNOWN = object()
_CHECK = b"SET CONSTRAINTS ALL IMMEDIATE"
# Changes of the schema take turns across processes; the number is ours alone: "kernel" in ASCII. What others did
# before is noticed with the next lock on a table: else "if not exists" might not see what they made.
TAKE_TURN = b"SELECT pg_advisory_xact_lock(118014564787564); SELECT FROM pg_namespace LIMIT 0"


class PostgresTransaction(EngineTransaction):
    """A transaction on a connection of its own."""

    def __init__(
        self,
        database: PostgresDatabase,
        identity: Identity | None = None,
        settings: RequestSettings | None = None,
    ) -> None:
        super().__init__(database.publish, database.writing, identity)
        self._database = database
        self._settings = settings
        self._caller = caller_of(identity, settings)
        self._acts_for: Identity | object | None = identity
        self._session: Session | None = None
        self._committed = False

    @property
    def _connections(self) -> Connections:
        return self._database.connections

    def _lend(self) -> Session:
        return self._database.lend()

    def _begin(self) -> None:
        """Begin; on a new connection, if the one at hand had died since its last use."""
        for attempt in (1, 2):
            session = self._lend()
            try:
                if self._caller is None:
                    session.command(_BEGIN)
                else:
                    session.begin_for(self._caller, _BEGIN)
            except BaseException as error:
                died = session.broken
                if not died and not session.idle:
                    session.command(b"ROLLBACK")
                self._connections.returned(session)
                if attempt == 1 and died and isinstance(error, DatabaseUnavailable):
                    continue
                if isinstance(error, DatabaseError) and error.sqlstate in _NO_WRITING:
                    raise errors.read_only(error) from error
                raise
            self._session = session
            return

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        if isinstance(statement, Compiled):
            rights.check(statement, self._identity)
        prepared = self._database.statement(statement, self._identity)
        session = self._assumed(self._identity)
        if prepared.kind != "data":
            raise DatabaseError(
                "the statement changes the schema",
                sqlstate="25001",
                hint="Use schema_transaction() for it.",
            )
        return session.run(prepared, params, self._caller.role if self._caller else None)

    def _assumed(self, identity: Identity | None) -> Session:
        """Return the session once it acts for `identity`."""
        session = self._open()
        if identity is not self._acts_for:
            self._caller = caller_of(identity, self._settings)
            session.assume(self._caller)
            self._acts_for = identity
        return session

    def _command(self, sql: str) -> None:
        self._open().command(sql.encode())
        if sql.startswith("ROLLBACK"):  # which takes along who was acted for since
            self._acts_for = _UNKNOWN

    def _commit(self) -> None:
        session = self._open()
        commands = (_CHECK, b"ROLLBACK") if self._undone else (b"COMMIT",)
        try:
            # What is deferred to the end happens with the rights of whose transaction it is.
            self._assumed(self._identity)
            if self._caller is not None:
                session.end_for(self._caller, *commands)
            else:
                for command in commands:
                    session.command(command)
        except BaseException as error:
            self._rollback()
            if session.broken and isinstance(error, DatabaseUnavailable) and not self._undone:
                raise errors.undecided() from error
            raise
        self._committed = not self._undone

    def _rollback(self) -> None:
        session = self._open()
        if not session.broken and not session.idle:
            session.command(b"ROLLBACK")

    def _release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self._connections.returned(session)
        if self._committed:
            self._database.committed()

    def _open(self) -> Session:
        if self._session is None:
            raise DatabaseError("the transaction has ended", sqlstate="25P01")
        return self._session


class PostgresSchemaTransaction(PostgresTransaction):
    """A transaction that changes the schema, as its owner; one at a time in a deployment."""

    _changes_schema = True

    @property
    def _connections(self) -> Connections:
        return self._database.owners

    def _lend(self) -> Session:
        return self._database.lend_owner()

    def _begin(self) -> None:
        super()._begin()
        session = self._open()
        try:
            session.command(TAKE_TURN)
            session.command(catalogues.CREATE_VERSION)
        except BaseException:
            self._rollback()
            self._release()
            raise

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        session = self._open()
        publishing = isinstance(statement, str) and changes.PUBLICATION in statement
        if publishing and changes.alters_publication(str(statement)):
            session.command(changes.CREATE_PUBLICATION)
        prepared = self._database.statement(statement)
        if prepared.kind == "role":
            roles.run(session, prepared, self._database.runtime)
            return [], 0
        # Not kept prepared: the next statement may change what it returns.
        result = session.once(prepared, params)
        if publishing:
            session.command(changes.RECONCILE)
        return result

    def _commit(self) -> None:
        session = self._open()
        try:
            session.command(changes.RECONCILE)
            session.command(catalogues.NEXT_VERSION)
            session.command(SCHEMA_CHANGED)
        except BaseException:
            self._rollback()
            raise
        super()._commit()

    def _release(self) -> None:
        self._database.forget_catalogue()
        super()._release()
