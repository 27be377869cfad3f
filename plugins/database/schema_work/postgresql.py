"""SchemaWork on PostgreSQL: turns by an advisory lock, and a database, made and dropped, to rehearse in."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from kernel.contracts.schema import Dropped
from plugins.database import parser
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement
from plugins.database.schema_work.drops import drops
from plugins.database.schema_work.postgresql_scratch import PostgresScratch, SharedScratch, make_room
from plugins.database.schema_work.postgresql_transactions import Migrating
from plugins.database.signals.postgresql import SCHEMA_CHANGED

# The number is ours alone: "migrate" in ASCII.
_TRY = Statement(b"SELECT pg_try_advisory_lock(30795738321024101)", ())
_BETWEEN_TRIES = 0.05

Open = Callable[[str], PostgresDatabase]


class PostgresSchemaWork:
    """Works on `database`; `open_` opens another one of the same server by name."""

    def __init__(self, database: PostgresDatabase, open_: Open) -> None:
        self._database = database
        self._open = open_

    @contextmanager
    def turn(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold an advisory lock, which the server frees when the connection ends.

        It is tried again and again: who waits for a lock in the server holds a snapshot, which an index that
        another process makes concurrently would wait for in its turn.
        """
        session = self._database.owners.separate()
        try:
            if not _taken(session):
                waiting()
                while not _taken(session):
                    time.sleep(_BETWEEN_TRIES)
            yield
        finally:
            session.close()

    def transaction(self, lock_timeout: float | None = None) -> Migrating:
        """Begin a schema transaction without a statement time-out."""
        return Migrating(self._database, lock_timeout)

    def alone(self, sql: str, lock_timeout: float | None = None) -> None:
        """Run statements one by one, each of which commits by itself."""
        session = self._database.owners.separate()
        try:
            session.command(b"SET default_transaction_read_only = off")
            session.take_time()
            if lock_timeout is not None:
                session.command(b"SET lock_timeout = %d" % round(lock_timeout * 1000))
            session.command(catalogues.CREATE_VERSION)
            for statement in parser.split(sql):
                try:
                    session.once(Statement(statement.encode(), ()), {})
                except DatabaseError as error:
                    error.statement = statement
                    raise
                session.command(catalogues.NEXT_VERSION)
                session.command(SCHEMA_CHANGED)
        finally:
            session.close()
            self._database.forget_catalogue()

    def statements(self, sql: str) -> list[str]:
        """Return the statements of a script."""
        return parser.split(sql)

    def drops(self, sql: str, catalogue: Catalogue) -> list[Dropped]:
        """Return what statements drop."""
        return drops(sql, catalogue)

    @contextmanager
    def scratch(self) -> Iterator[PostgresScratch]:
        """Make a database, or, where the login may not, make room in this one until a rollback."""
        name = f"kernel_scratch_{uuid.uuid4().hex}"
        session = self._database.owners.separate()
        try:
            session.command(b"SET default_transaction_read_only = off")
            session.take_time()
            try:
                session.command(b"CREATE DATABASE %s TEMPLATE template0" % name.encode())
            except DatabaseError as error:
                if error.sqlstate != "42501":
                    raise
                make_room(session)
                yield SharedScratch(self._database, session)
                return
            roles: list[str] = []
            try:
                database = self._open(name)
                try:
                    database.prepare()
                    scratch = PostgresScratch(database, PostgresSchemaWork(database, self._open).alone)
                    roles = scratch.roles
                    yield scratch
                finally:
                    database.close()
            finally:
                session.command(b"DROP DATABASE %s WITH (FORCE)" % name.encode())
                for role in roles:
                    session.command(b"DROP ROLE " + quoted(role).encode())
        finally:
            session.close()

    def copy(self) -> None:
        """Return None: to copy a database, everyone else would have to leave it."""


def _taken(session: Session) -> bool:
    ((taken,),), _ = session.once(_TRY, {})
    return bool(taken)


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'
