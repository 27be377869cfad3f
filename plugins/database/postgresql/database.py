"""The Database contract on PostgreSQL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar

from kernel.contracts.catalogue import Catalogue, Function, Table, Write
from kernel.contracts.database import (
    NO_PARAMS,
    Compiled,
    DatabaseError,
    DatabaseUnavailable,
    Expression,
    NotInline,
    Params,
    RequestSettings,
    Row,
)
from kernel.contracts.rights import Rights, Use
from kernel.contracts.stored import StoredType
from kernel.events import Event
from kernel.identity import Identity
from plugins.database import rights
from plugins.database.postgresql import preparing, statements, stored
from plugins.database.postgresql.callers import Caller, NativeRights, caller_of
from plugins.database.postgresql.catalogue import CatalogueCache
from plugins.database.postgresql.connections import Connections, Limits
from plugins.database.postgresql.results import is_stale
from plugins.database.postgresql.roles import quoted
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement
from plugins.database.postgresql.transaction import TAKE_TURN, PostgresSchemaTransaction, PostgresTransaction

T = TypeVar("T")

_STATEMENTS_KEPT = 2000
_BEGIN = b"BEGIN READ ONLY"


class PostgresDatabase:
    """One database on a server; connections are opened on first use, and closed once.

    With an `owner_url`, that login prepares the database and changes the schema, and the other one needs no rights
    of its own: it takes on its callers' roles, and ``service_role`` for the kernel's work.
    `publish` delivers the events of a committed transaction; `watch` is called before the catalogue is first read,
    and sees to it that `forget_catalogue` is called when another process changes the schema; `committed` is called
    after each transaction.
    """

    engine: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(
        self, url: str, limits: Limits, publish: Callable[[Event], None], owner_url: str | None = None
    ) -> None:
        self.connections = Connections(url, limits, "service_role" if owner_url else None)
        self.owners = Connections(owner_url, limits) if owner_url else self.connections
        self.publish = publish
        self.writing: set[int] = set()
        self.watch: Callable[[], None] = lambda: None
        self.committed: Callable[[], None] = lambda: None
        self._catalogue = CatalogueCache()
        self._describe = functools.lru_cache(maxsize=1000)(self._known_type)
        self._express = functools.lru_cache(maxsize=1000)(self._expressed)
        self._given = functools.lru_cache(maxsize=_STATEMENTS_KEPT)(statements.given)
        self._compiled = functools.lru_cache(maxsize=_STATEMENTS_KEPT)(statements.compiled)

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they are now."""
        current = self._catalogue.current()
        if current is None:
            self.watch()
            current = self._reading(self._catalogue.refresh)
        return current

    def query(
        self,
        statement: str | Compiled,
        params: Params = NO_PARAMS,
        *,
        identity: Identity | None = None,
        inline: bool = False,
        settings: RequestSettings | None = None,
    ) -> list[Row]:
        """Run one reading statement and return its rows."""
        if inline:
            raise NotInline("a statement waits for the server")
        prepared, caller = self._to_read(statement, identity), caller_of(identity, settings)
        if caller is None:
            return self._reading(lambda session: session.run(prepared, params))[0]
        return self._reading(lambda session: session.run_for(caller, prepared, params))[0]

    def stream(
        self,
        statement: str | Compiled,
        params: Params = NO_PARAMS,
        *,
        identity: Identity | None = None,
        settings: RequestSettings | None = None,
    ) -> Iterator[list[Row]]:
        """Run one reading statement and yield its rows, some at a time."""
        return self._streamed(self._to_read(statement, identity), params, caller_of(identity, settings))

    def _streamed(self, statement: Statement, params: Params, caller: Caller | None) -> Iterator[list[Row]]:
        for attempt in (1, 2):
            session = self.lend()
            begun = False
            try:
                if caller is None:
                    session.command(_BEGIN)
                else:
                    session.begin_for(caller, _BEGIN)
                for rows in session.stream(statement, params, None if caller is None else caller.role):
                    begun = True
                    yield rows
                return
            except DatabaseError as error:
                if attempt == 2 or begun or not (session.broken or is_stale(error)):
                    raise
            finally:
                if not (session.broken or session.idle):
                    session.command(b"ROLLBACK")
                self.connections.returned(session)

    def _to_read(self, statement: str | Compiled, identity: Identity | None) -> Statement:
        if isinstance(statement, Compiled):
            rights.check(statement, identity)
        prepared = self.statement(statement, identity)
        if prepared.kind != "data":
            raise DatabaseError(
                "a statement that does more than read, in a read-only transaction",
                sqlstate="25006",
                hint="Write in a transaction(), change the schema in a schema_transaction().",
            )
        return prepared

    def transaction(
        self, identity: Identity | None = None, settings: RequestSettings | None = None
    ) -> PostgresTransaction:
        """Begin a writing transaction."""
        return PostgresTransaction(self, identity, settings)

    def schema_transaction(self) -> PostgresSchemaTransaction:
        """Begin a transaction that changes the schema."""
        return PostgresSchemaTransaction(self)

    def rights(self, role: str | None, table: Table, use: Use) -> Rights:
        """Leave it to the server: it runs the statement as the role."""
        return NativeRights(table)

    def through(self, role: str | None, view: Table, command: Write) -> None:
        """Leave it to the server, which writes through views by itself."""

    def call_of_row(self, role: str | None, function: Function, table: Table, row: str) -> str:
        """Leave the rights to the server; a row of a subquery is none of the table's before it is cast."""
        called, kind = (f"{quoted(one.schema)}.{quoted(one.name)}" for one in (function, table))
        return f"{called}(({quoted(row)}.*)::{kind})"

    def stored(self, type: str) -> StoredType:  # noqa: A002 - what PostgreSQL calls it
        """Return how a declared type is kept."""
        return self._describe(type)

    def expression(self, text: str, operands: Mapping[str, str]) -> Expression:
        """Return an expression over operands; the server tells its type."""
        return self._express(self.catalogue.version, text, tuple(operands.items()))

    def _expressed(self, version: int, text: str, operands: tuple[tuple[str, str], ...]) -> Expression:
        found = Expression(f"({text})", "")
        columns = {name: f'"{name}"' for name, _ in operands}
        nulls = ", ".join(f"null::{self.stored(kind).type}" for _, kind in operands)
        value = found.over(**columns)
        asked = f"select format_type(pg_typeof({value}), -1) from (select {nulls}) _({', '.join(columns.values())})"  # noqa: S608 - ours
        ((kind,),) = self.query(Compiled(asked))
        return Expression(found.template, kind)

    def statement(self, statement: str | Compiled, identity: Identity | None = None) -> Statement:
        """Return a statement with its parameters numbered.

        Raises `DatabaseError` (42501) where it has an identity and calls what would change who runs it.
        """
        if isinstance(statement, Compiled):
            return self._compiled(statement.sql)
        found = self._given(statement)
        if identity is not None and found.session_function is not None:
            raise DatabaseError(
                f"permission denied for function {found.session_function}",
                sqlstate="42501",
                hint="It outlasts a statement, or changes who runs it: that is for the kernel's own statements.",
            )
        return found

    def lend(self) -> Session:
        """Lend a session that knows no more of the schema than we do; give it back to `connections`."""
        return self._lend(self.connections)

    def lend_owner(self) -> Session:
        """Lend a session of who owns the schema; give it back to `owners`."""
        return self._lend(self.owners)

    @property
    def runtime(self) -> str | None:
        """The login that takes on callers' roles, where it is not the one that owns the schema."""
        return None if self.owners is self.connections else self.connections.login

    def prepare(self) -> None:
        """Make the standard roles and functions where they are missing."""
        session = self.owners.lend()
        try:
            preparing.prepare(session, TAKE_TURN)
            if self.runtime is not None:
                preparing.let_in(session, self.runtime, TAKE_TURN)
        finally:
            self.owners.returned(session)

    def _lend(self, connections: Connections) -> Session:
        while True:
            session = connections.lend()
            changes = self._catalogue.changes
            if session.catalogue == changes:
                return session
            try:
                session.forget()
            except BaseException as error:
                died = session.broken
                connections.returned(session)
                if died and isinstance(error, DatabaseUnavailable):
                    continue  # the next is a new one, which has nothing to forget
                raise
            session.catalogue = changes
            return session

    @property
    def may_be_followed(self) -> bool:
        """Whether a transaction may have changed a table that is published, as far as is known without a look."""
        current = self._catalogue.current()
        return current is None or _publishes(current)

    def forget_catalogue(self) -> None:
        """Read the catalogue again at its next use."""
        self._catalogue.forget()

    def close(self) -> None:
        """Close all connections."""
        self.connections.close()
        self.owners.close()

    def _reading(self, work: Callable[[Session], T]) -> T:
        """Do what only reads; once more on a new connection, if the one at hand had died since its last use."""
        for attempt in (1, 2):
            session = self.lend()
            try:
                return work(session)
            except DatabaseUnavailable:
                if attempt == 2 or not session.broken:
                    raise
            finally:
                self.connections.returned(session)
        raise AssertionError

    def _known_type(self, name: str) -> StoredType:
        try:
            ((base,),) = self.query(Compiled(stored.CANONICAL), {"name": name})
        except DatabaseError as error:
            if isinstance(error, DatabaseUnavailable):
                raise
            base = None
        if base is None:
            raise DatabaseError(f'type "{name}" does not exist', sqlstate="42704")
        return stored.describe(name, base)


def _publishes(catalogue: Catalogue) -> bool:
    return any(table.published for table in catalogue.tables.values())
