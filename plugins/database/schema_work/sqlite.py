"""SchemaWork on SQLite: one transaction for everything, and databases in memory to rehearse in."""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import DatabaseError, Transaction
from kernel.contracts.schema import Body, Dropped, Expression, Lock, Step
from plugins.database import parser
from plugins.database.schema_work import expressions
from plugins.database.schema_work.drops import drops
from plugins.database.sqlite.catalogue.definitions import Routine
from plugins.database.sqlite.connections import Guarded
from plugins.database.sqlite.database import SqliteDatabase
from plugins.database.sqlite.names import quote, split_name
from plugins.database.sqlite.transaction import SqliteSchemaTransaction

Open = Callable[[Path | None], SqliteDatabase]

_WRITES = Lock(None, None, "writing", "writes")
_COPIED_PAGES = 1000


class SqliteSchemaWork:
    """Works on `database`; `open_` opens another one, None being in memory."""

    def __init__(self, database: SqliteDatabase, open_: Open) -> None:
        self._database = database
        self._open = open_

    @contextmanager
    def turn(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be alone with the folder that the file is in: who writes to the file is waited for, but not for long."""
        connections = self._database.connections
        if connections.in_memory or connections.folder is None:
            yield
            return
        descriptor = os.open(connections.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def transaction(self, lock_timeout: float | None = None) -> Migrating:
        """Begin a schema transaction without a statement time-out."""
        return Migrating(self._database, lock_timeout)

    def alone(self, sql: str, lock_timeout: float | None = None) -> None:
        """Run statements in one transaction: SQLite has none that refuse to be in one."""
        with self.transaction(lock_timeout) as transaction:
            transaction.script(sql)

    def statements(self, sql: str) -> list[str]:
        """Return the statements of a script."""
        return parser.split(sql)

    def drops(self, sql: str, catalogue: Catalogue) -> list[Dropped]:
        """Return what statements drop."""
        return drops(sql, catalogue)

    def expression(self, sql: str, table: Table, catalogue: Catalogue) -> Expression:
        """Return what a condition over a table's rows does."""
        return expressions.expression(sql, table, catalogue)

    def reads(self, view: Table) -> frozenset[tuple[str, str]]:
        """Return what a view reads with its caller's rights."""
        return expressions.reads(view)

    def body(self, function: Function) -> Body | None:
        """Return what a function does."""
        if not isinstance(function, Routine):
            raise TypeError(f"the function {function.name} does not come from SQLite's catalogue")
        return expressions.body(list(function.statements))

    @contextmanager
    def scratch(self) -> Iterator[SqliteScratch]:
        """Make a database in memory."""
        scratch = SqliteScratch(lambda: self._open(None), "a database in memory")
        try:
            yield scratch
        finally:
            scratch.close()

    @contextmanager
    def copy(self) -> Iterator[SqliteScratch]:
        """Copy the file as committed now, page by page, beside itself; raises `NoCopy` where there is no room."""
        self._database.create_tables()
        beside = self._database.connections.folder
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=beside) as folder:
            scratch = SqliteScratch(lambda: self._copied(Path(folder)), "a copy of the database")
            try:
                yield scratch
            finally:
                scratch.close()

    def _copied(self, folder: Path) -> SqliteDatabase:
        path = folder / f"{uuid.uuid4().hex}.db"
        self._copy_to(path)
        return self._open(path)

    def _copy_to(self, path: Path) -> None:
        reader = self._database.connections.reader()
        try:
            copy = apsw.Connection(str(path))
            try:
                with copy.backup("main", reader.connection, "main") as backup:
                    while not backup.done:
                        backup.step(_COPIED_PAGES)
            finally:
                copy.close()
        except apsw.Error as error:
            raise DatabaseError(f"the database cannot be copied: {error}", sqlstate="58030") from error
        finally:
            self._database.connections.returned(reader)


class Migrating(SqliteSchemaTransaction):
    """A schema transaction whose statements may take as long as they need."""

    def __init__(self, database: SqliteDatabase, lock_timeout: float | None) -> None:
        super().__init__(database)
        self._lock_timeout = lock_timeout

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they would be after a commit."""
        return self._known()

    def _begin_on(self, writer: Guarded) -> None:
        writer.limits = msgspec.structs.replace(writer.limits, statement_timeout=math.inf)
        if self._lock_timeout is not None:
            writer.connection.set_busy_timeout(round(self._lock_timeout * 1000))
        super()._begin_on(writer)

    def _release(self) -> None:
        limits = self._database.connections.limits
        if self._writer is not None:
            self._writer.limits = limits
            self._writer.connection.set_busy_timeout(round(limits.busy_timeout * 1000))
        super()._release()


class SqliteScratch:
    """A database of one's own, which `make` makes."""

    def __init__(self, make: Callable[[], SqliteDatabase], where: str) -> None:
        self._make = make
        self._database = make()
        self.where = where

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views that were made here."""
        return self._database.catalogue

    def clear(self) -> None:
        """Make another one."""
        self.close()
        self._database = self._make()

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def run(self, sql: str, *, alone: bool = False) -> list[Step]:
        """Run statements in one transaction and return what each of them did."""
        steps: list[Step] = []
        with Migrating(self._database, None) as transaction:
            connection = self._database.connections.writer().connection
            there = set(_roots(connection))
            for statement in parser.split(sql):
                before = _roots(connection)
                with _traced(connection) as ran:
                    _run(transaction, statement)
                rewritten = _rewritten(before, _roots(connection), ran)
                steps.append(
                    Step(
                        statement,
                        ";\n".join(ran),
                        () if steps else (_WRITES,),
                        tuple(split_name(name) for name in sorted(rewritten & there)),
                    )
                )
        return steps


def _run(transaction: Transaction, statement: str) -> None:
    try:
        transaction.query(statement)
    except DatabaseError as error:
        error.statement = statement
        raise


@contextmanager
def _traced(connection: apsw.Connection) -> Iterator[list[str]]:
    """Collect the statements that run on a connection, apart from our own bookkeeping and looks at the schema."""
    ran: list[str] = []

    def note(_: Any, sql: str, __: Any) -> bool:
        text = sql.strip().rstrip(";")
        if text and not text.upper().startswith(("SELECT", "PRAGMA")) and '"kernel.catalogue' not in text:
            ran.append(text)
        return True

    connection.exec_trace = note
    try:
        yield ran
    finally:
        connection.exec_trace = None


def _roots(connection: apsw.Connection) -> dict[str, int]:
    """Return where in the file each table begins: one that was written anew begins elsewhere."""
    found = connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'").fetchall()
    rows: list[Any] = found
    return {name: root for name, root in rows if not name.startswith(("sqlite_", "kernel."))}


def _rewritten(before: dict[str, int], after: dict[str, int], ran: list[str]) -> set[str]:
    moved = {name for name, root in after.items() if before.get(name, root) != root}
    # This one writes the rows in place.
    in_place = {
        name for name in after for sql in ran if sql.startswith(f"ALTER TABLE {quote(name)} DROP COLUMN")
    }
    return moved | in_place
