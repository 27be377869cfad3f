"""SchemaWork on PostgreSQL: turns by a lock on a table, and a database, made and dropped, to rehearse in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import Compiled, DatabaseError
from kernel.contracts.schema import Body, Dropped, Expression, NoCopy
from plugins.database import parser
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql import roles
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.database.schema_work import expressions
from plugins.database.schema_work.drops import drops
from plugins.database.schema_work.postgresql_scratch import (
    PostgresCopy,
    PostgresScratch,
    SharedScratch,
    copy_all,
    make_room,
)
from plugins.database.schema_work.postgresql_transactions import Migrating
from plugins.database.signals.postgresql import SCHEMA_CHANGED

# A table of no columns, there to be locked in a mode that bars nothing but itself.
_EXISTS = Compiled("select to_regclass('kernel.schema_turn') is not null")
_CREATE = "create schema if not exists kernel; create table if not exists kernel.schema_turn ()"
_BEGIN = b"BEGIN READ WRITE; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_TRY = b"LOCK TABLE kernel.schema_turn IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"
_WAIT = b"LOCK TABLE kernel.schema_turn IN SHARE UPDATE EXCLUSIVE MODE"

# The parser takes what stands for a body of BEGIN ATOMIC or RETURN only where a function is made.
_BODY = """
select case
    when l.lanname <> 'sql' then null
    when p.prosqlbody is null then p.prosrc
    else 'create function f() returns void language sql ' || pg_get_function_sqlbody(p.oid)
end
from pg_proc p join pg_language l on l.oid = p.prolang where p.oid = to_regprocedure(:name)
"""

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

    def expression(self, sql: str, table: Table, catalogue: Catalogue) -> Expression:
        """Return what a condition over a table's rows does."""
        return expressions.expression(sql, table, catalogue)

    def reads(self, view: Table) -> frozenset[tuple[str, str]]:
        """Return what a view reads with its caller's rights."""
        return expressions.reads(view)

    def body(self, function: Function) -> Body | None:
        """Return what a function does."""
        name = ".".join(map(roles.quoted, (function.schema, function.name)))
        types = ", ".join(argument.type for argument in function.arguments)
        ((text,),) = self._database.query(_BODY, {"name": f"{name}({types})"})
        return None if text is None else expressions.body(list(parser.parse(str(text)).statements))

    @contextmanager
    def scratch(self) -> Iterator[PostgresScratch]:
        """Make a database, or, where the login may not, make room in this one until a rollback."""
        name = f"kernel_scratch_{uuid.uuid4().hex}"
        with self._session() as session:
            try:
                session.command(b"CREATE DATABASE %s TEMPLATE template0" % name.encode())
            except DatabaseError as error:
                if error.sqlstate != "42501":
                    raise
                make_room(session)
                yield SharedScratch(self._database, session)
                return
            with self._within(name, session, self._prepared) as scratch:
                yield scratch

    @contextmanager
    def copy(self) -> Iterator[PostgresScratch]:
        """Make a database and put a dump of this one in it, but for the change log; raises `NoCopy`."""
        name = f"kernel_scratch_{uuid.uuid4().hex}"
        with self._session() as session:
            try:
                session.command(b"CREATE DATABASE %s TEMPLATE template0" % name.encode())
            except DatabaseError as error:
                if error.sqlstate != "42501":
                    raise
                raise NoCopy("the login may not make a database; let it: alter role ... createdb") from error
            with self._within(name, session, self._filled) as scratch:
                yield scratch

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._database.owners.separate()
        try:
            session.command(b"SET default_transaction_read_only = off")
            session.take_time()
            yield session
        finally:
            session.close()

    @contextmanager
    def _within(
        self, name: str, session: Session, make: Callable[[PostgresDatabase], PostgresScratch]
    ) -> Iterator[PostgresScratch]:
        """Give what is made in a database, which is dropped afterwards with the roles that came with it."""
        made: list[str] = []
        try:
            database = self._open(name)
            try:
                scratch = make(database)
                made = scratch.roles
                yield scratch
            finally:
                database.close()
        finally:
            session.command(b"DROP DATABASE %s WITH (FORCE)" % name.encode())
            for role in made:
                roles.drop_unused(session, role)

    def _prepared(self, database: PostgresDatabase) -> PostgresScratch:
        database.prepare()
        return PostgresScratch(database, PostgresSchemaWork(database, self._open).alone)

    def _filled(self, database: PostgresDatabase) -> PostgresCopy:
        def fill() -> None:
            copy_all(self._database.owners.url, database.owners.url)
            database.prepare()  # where this one was never started, as a start would
            database.forget_catalogue()

        return PostgresCopy(database, PostgresSchemaWork(database, self._open).alone, fill)


def _taken(session: Session) -> bool:
    session.command(_BEGIN)
    try:
        session.command(_TRY)
    except DatabaseError as error:
        if error.sqlstate != "55P03":
            raise
        return False
    return True
