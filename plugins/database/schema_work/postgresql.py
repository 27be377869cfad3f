"""SchemaWork on PostgreSQL: turns by a lock on a table, and a database, made and dropped, to rehearse in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Compiled, DatabaseError
from kernel.contracts.schema import Dropped
from plugins.database import parser
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql import roles
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.database.schema_work.drops import drops
from plugins.database.schema_work.postgresql_scratch import PostgresScratch, SharedScratch, make_room
from plugins.database.schema_work.postgresql_transactions import Migrating
from plugins.database.signals.postgresql import SCHEMA_CHANGED

# A table of no columns, there to be locked in a mode that bars nothing but itself.
_EXISTS = Compiled("select to_regclass('kernel.schema_turn') is not null")
_CREATE = "create schema if not exists kernel; create table if not exists kernel.schema_turn ()"
_BEGIN = b"BEGIN READ WRITE; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_TRY = b"LOCK TABLE kernel.schema_turn IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"
_WAIT = b"LOCK TABLE kernel.schema_turn IN SHARE UPDATE EXCLUSIVE MODE"

Open = Callable[[str], PostgresDatabase]


class PostgresSchemaWork:
    """Works on `database`; `open_` opens another one of the same server by name."""

    def __init__(self, database: PostgresDatabase, open_: Open) -> None:
        self._database = database
        self._open = open_

    @contextmanager
    def turn(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold a table's lock, which the server gives to the next when the connection ends.

        Not an advisory lock: who waits for one holds a snapshot, as any query does, and an index that another
        process makes concurrently would wait for that in its turn. LOCK TABLE waits without one.
        """
        if not self._database.query(_EXISTS)[0][0]:
            with self._database.schema_transaction() as transaction:
                transaction.script(_CREATE)
        session = self._database.owners.separate()
        try:
            session.take_time()
            if not _taken(session):
                waiting()
                session.command(b"ROLLBACK")
                session.command(_BEGIN)
                session.command(_WAIT)
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
                    self._alone(session, statement)
                except DatabaseError as error:
                    error.statement = statement
                    raise
                session.command(catalogues.NEXT_VERSION)
                session.command(SCHEMA_CHANGED)
        finally:
            session.close()
            self._database.forget_catalogue()

    def _alone(self, session: Session, text: str) -> None:
        statement = self._database.statement(text)
        if statement.kind != "role":
            session.once(statement, {})
            return
        session.command(b"BEGIN READ WRITE")
        try:
            roles.run(session, statement, self._database.runtime)
        except BaseException:
            session.command(b"ROLLBACK")
            raise
        session.command(b"COMMIT")

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
            made: list[str] = []
            try:
                database = self._open(name)
                try:
                    database.prepare()
                    scratch = PostgresScratch(database, PostgresSchemaWork(database, self._open).alone)
                    made = scratch.roles
                    yield scratch
                finally:
                    database.close()
            finally:
                session.command(b"DROP DATABASE %s WITH (FORCE)" % name.encode())
                for role in made:
                    roles.drop_unused(session, role)
        finally:
            session.close()

    def copy(self) -> None:
        """Return None: to copy a database, everyone else would have to leave it."""


def _taken(session: Session) -> bool:
    session.command(_BEGIN)
    try:
        session.command(_TRY)
    except DatabaseError as error:
        if error.sqlstate != "55P03":
            raise
        return False
    return True
