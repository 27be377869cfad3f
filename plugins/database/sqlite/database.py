"""The Database contract on SQLite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import apsw

from kernel.contracts.catalogue import Catalogue, Function, Table, Write
from kernel.contracts.database import (
    NO_PARAMS,
    Compiled,
    DatabaseError,
    Expression,
    NotInline,
    Params,
    RequestSettings,
    Row,
)
from kernel.contracts.rights import Rights, Through, Use
from kernel.contracts.stored import StoredType
from kernel.events import Event
from kernel.http import TooLong
from kernel.identity import Identity
from kernel.sources import Clock, Ids
from plugins.database import rights
from plugins.database.sqlite import errors, stored
from plugins.database.sqlite.catalogue import catalogue as catalogues
from plugins.database.sqlite.catalogue.kinds import TypedCatalogues, resolve
from plugins.database.sqlite.catalogue.shown import ShownCatalogues
from plugins.database.sqlite.connections import Connections, Limits, run, stream
from plugins.database.sqlite.statements import Plan, Plans
from plugins.database.sqlite.transaction import SqliteSchemaTransaction, SqliteTransaction
from plugins.database.sqlite.values.temporal.moments import write_timestamptz


class SqliteDatabase:
    """One SQLite file (`path`), or a database in memory (None); opened on first use, closed once.

    `publish` delivers the events of a committed transaction; `announce` is called when one has written to the
    change log.
    """

    engine: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(
        self,
        path: Path | None,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        publish: Callable[[Event], None],
    ) -> None:
        self.connections = Connections(
            path, limits, lambda: write_timestamptz(clock.now()), lambda: str(ids.uuid())
        )
        self.plans = Plans(self.translate)
        self.publish = publish
        self.writing: set[int] = set()
        self.announce: Callable[[], None] = lambda: None
        self._catalogue = catalogues.CatalogueCache()
        self._typed = TypedCatalogues().typed
        self._shown = ShownCatalogues().shown
        self._describe = functools.lru_cache(maxsize=1000)(stored.describe)
        self._express = functools.lru_cache(maxsize=1000)(self._expressed)
        self._has_tables = False

    @property
    def in_memory(self) -> bool:
        """Whether the database lives in memory."""
        return self.connections.in_memory

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they are now, without partitions."""
        return self._shown(self.known)

    @property
    def known(self) -> Catalogue:
        """All there is in the file now."""
        fresh = self._catalogue.fresh()
        if fresh is not None:
            return fresh
        reader = self.connections.reader()
        try:
            self.connections.check_file()
            return self._catalogue.refresh(reader.connection)
        except apsw.Error as error:
            raise self.connections.refusal(error, catalogues.EMPTY, reader.connection) from error
        finally:
            self.connections.returned(reader)

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
        run_ = self._inline if inline else self._read
        return run_(self._reading(statement, identity), params, identity, settings)

    def stream(
        self,
        statement: str | Compiled,
        params: Params = NO_PARAMS,
        *,
        identity: Identity | None = None,
        settings: RequestSettings | None = None,
    ) -> Iterator[list[Row]]:
        """Run one reading statement and yield its rows, some at a time."""
        return self._streamed(self._reading(statement, identity), params, identity, settings)

    def _reading(self, statement: str | Compiled, identity: Identity | None) -> str:
        if isinstance(statement, Compiled):
            rights.check(statement, identity)
            return statement.sql
        plan = self.plans.plan(statement, self.known, rights.role_of(identity))
        if plan.kind != "read":
            raise _read_only(plan.tag)
        return plan.sql

    def transaction(
        self, identity: Identity | None = None, settings: RequestSettings | None = None
    ) -> SqliteTransaction:
        """Begin a writing transaction."""
        return SqliteTransaction(self, identity, settings)

    def schema_transaction(self) -> SqliteSchemaTransaction:
        """Begin a transaction that changes the schema."""
        return SqliteSchemaTransaction(self)

    def stored(self, type: str) -> StoredType:  # noqa: A002 - what PostgreSQL calls it
        """Return how a declared type is kept."""
        known = self.known
        return self._describe(resolve(type, known) if known.enums or known.domains else type)

    def expression(self, text: str, operands: Mapping[str, str]) -> Expression:
        """Return an expression over operands."""
        return self._express(self.known.version, text, tuple(operands.items()))

    def _expressed(self, version: int, text: str, operands: tuple[tuple[str, str], ...]) -> Expression:
        from plugins.database.sqlite.translate.expressions.operands import translate_expression

        return translate_expression(text, dict(operands), self._typed(self.known))

    def image(self) -> bytes:
        """Return the database as committed now, as the bytes of a file."""
        reader = self.connections.reader()
        try:
            return reader.connection.serialize("main")
        finally:
            self.connections.returned(reader)

    def load(self, image: bytes) -> None:
        """Start from the bytes of `image`."""
        self.connections.load(image)

    def rights(self, role: str | None, table: Table, use: Use) -> Rights:
        """Return what a compiler writes into its statement over `table`."""
        from plugins.database.sqlite.rights.compiled import rights_for

        return rights_for(self.known, role, table, use)

    def through(self, role: str | None, view: Table, command: Write) -> Through:
        """Return how a compiler has a statement write to a view."""
        from plugins.database.sqlite.rights.through import ViewThrough

        return ViewThrough(self._typed(self.known), role, view, command)

    def call_of_row(self, role: str | None, function: Function, table: Table, row: str) -> str:
        """Return a call of a function with a row."""
        from plugins.database.sqlite.rights.called import call_of_row

        return call_of_row(self._typed(self.known), role, function, table, row)

    def translate(self, text: str, catalogue: Catalogue, role: str | None = None) -> Plan:
        """Return one statement of PostgreSQL's SQL as SQLite's, with a role's rights unless that is None."""
        from plugins.database.sqlite.translate import translate

        return translate(text, self._typed(catalogue), role)

    def prepare(self) -> None:
        """Do nothing: every file knows the standard roles."""

    def prepare_file(self) -> None:
        """Give a new file our own tables; the caller holds the write lock."""
        if self._has_tables:
            return
        connection = self.connections.writer().connection
        if not catalogues.exists(connection):
            with connection:
                catalogues.create(connection)
        self._has_tables = True

    def create_tables(self) -> None:
        """Give a new file our own tables, so that readers find them."""
        if not self._has_tables:
            with self.transaction():
                pass

    def forget_catalogue(self) -> None:
        """Look at the catalogue again at its next use."""
        self._catalogue.forget()

    def close(self) -> None:
        """Close all connections."""
        self.connections.close()

    def _read(
        self, sql: str, params: Params, identity: Identity | None, settings: RequestSettings | None
    ) -> list[Row]:
        connections = self.connections
        reader = connections.reader()
        try:
            return run(reader, sql, params, identity, settings)
        except Exception as error:
            raise self._refusal(error, sql, reader.connection) from error
        finally:
            connections.returned(reader)

    def _streamed(
        self, sql: str, params: Params, identity: Identity | None, settings: RequestSettings | None
    ) -> Iterator[list[Row]]:
        connections = self.connections
        reader = connections.reader()
        try:
            yield from stream(reader, sql, params, identity, settings)
        except Exception as error:
            raise self._refusal(error, sql, reader.connection) from error
        finally:
            connections.returned(reader)

    def _inline(
        self, sql: str, params: Params, identity: Identity | None, settings: RequestSettings | None
    ) -> list[Row]:
        connections = self.connections
        reader = connections.inline_reader()
        try:
            return run(reader, sql, params, identity, settings)
        except apsw.InterruptError as error:
            raise TooLong("the statement is past its budget for the event loop") from error
        except (apsw.BusyError, apsw.LockedError) as error:
            raise NotInline("the statement would have to wait") from error
        except Exception as error:
            raise self._refusal(error, sql, reader.connection) from error
        finally:
            connections.inline_returned(reader)

    def _refusal(self, error: Exception, sql: str, connection: apsw.Connection) -> DatabaseError:
        if isinstance(error, apsw.ReadOnlyError) and errors.extended(error) == apsw.SQLITE_READONLY:
            return _read_only(sql.split(None, 1)[0].upper())
        return self.connections.refusal(error, self.known, connection)


def _read_only(tag: str) -> DatabaseError:
    return DatabaseError(
        f"cannot execute {tag} in a read-only transaction", sqlstate="25006", hint="Write in a transaction()."
    )


def path_of(url: str, data: Callable[[], Path]) -> Path | None:
    """Return the file that a ``sqlite:///`` URL names, relative to the data folder; None for one in memory."""
    name: Any = url.removeprefix("sqlite:///")
    return None if name == ":memory:" else data() / name
