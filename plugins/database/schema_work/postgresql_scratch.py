"""Where changes of a schema are rehearsed on PostgreSQL, and how what each statement does is measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from kernel.contracts.schema import Blocks, Lock, NoCopy, Step
from plugins.database import parser
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql import preparing, programs
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement
from plugins.database.schema_work.postgresql_transactions import Migrating, Nested

_AWAY = "kernel_scratch_"

# Rewriting gives a table another file, also where it is empty.
_TABLES = Statement(
    b"""
    select c.oid, n.nspname, c.relname, c.relfilenode
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    """,
    (),
)
_LOCKS = Statement(
    b"""
    select relation, mode from pg_locks
    where pid = pg_backend_pid() and locktype = 'relation' and granted
    """,
    (),
)
_SCHEMAS = Statement(
    b"select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'",
    (),
)

_ROLE_EXISTS = Statement(b"select exists (select from pg_roles where rolname = $1)", ("role",))
# What holds for all databases of a server is left alone: a rehearsal would change it for everyone.
_SERVER_WIDE = frozenset({
    "AlterDatabaseSetStmt", "AlterDatabaseStmt", "AlterRoleSetStmt", "AlterRoleStmt", "AlterSystemStmt",
    "CreatedbStmt", "CreateTableSpaceStmt", "DropdbStmt", "DropRoleStmt", "DropTableSpaceStmt", "GrantRoleStmt",
})  # fmt: skip
_SKIPPED = "-- not rehearsed: it is about the whole server"
_CLEAR = """
do $$
declare item record;
begin
    for item in select pubname from pg_publication loop
        execute format('drop publication %I', item.pubname);
    end loop;
    for item in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', item.nspname);
    end loop;
    create schema public;
    grant usage on schema public to public;
    create schema kernel;
    create sequence kernel.schema_version;
end $$
"""

# The modes that an application can notice, weakest first, and what they keep waiting.
# Source: PostgreSQL's manual, "Table-Level Locks".
_MODES: dict[str, tuple[str, Blocks]] = {
    "RowExclusiveLock": ("row exclusive", "nothing"),
    "ShareUpdateExclusiveLock": ("share update exclusive", "schema changes"),
    "ShareLock": ("share", "writes"),
    "ShareRowExclusiveLock": ("share row exclusive", "writes"),
    "ExclusiveLock": ("exclusive", "writes"),
    "AccessExclusiveLock": ("access exclusive", "reads and writes"),
}
_STRENGTH = {mode: strength for strength, mode in enumerate(_MODES)}


class _Seen(msgspec.Struct, frozen=True):
    """The tables by number, with their names and files, and the locks on them, at one moment."""

    tables: dict[int, tuple[str, str, int]]
    locks: frozenset[tuple[int, str]]


class PostgresScratch:
    """A database of one's own; `alone` runs statements outside a transaction in it."""

    where = "a database of its own"

    def __init__(self, database: PostgresDatabase, alone: Callable[[str], None]) -> None:
        self._database = database
        self._alone = alone
        self.roles: list[str] = []

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views that were made here."""
        return self._database.catalogue

    def run(self, sql: str, *, alone: bool = False) -> list[Step]:
        """Run statements, in one transaction unless `alone`, and return what each of them did."""
        statements = parser.split(sql)
        if alone:
            return [self._step_alone(statement) for statement in statements]
        with self._transaction() as transaction:
            there = _look(transaction.session).tables.keys()
            return [self._step(statement, transaction, there) for statement in statements]

    def clear(self) -> None:
        """Take everything out of the database."""
        self._alone(_CLEAR)
        self._database.prepare()

    def _transaction(self) -> Migrating:
        return Migrating(self._database, None)

    def _step(self, statement: str, transaction: Migrating, there: Collection[int]) -> Step:
        if self._is_skipped(statement, transaction.session):
            return Step(statement, _SKIPPED)
        before = _look(transaction.session)
        transaction.script(statement)
        return _measured(statement, before, _look(transaction.session), there)

    def _step_alone(self, statement: str) -> Step:
        """Run a statement whose locks are gone when it ends: what is known of its kind is said instead."""
        locks = _of_concurrent(statement, self.catalogue)
        self._alone(statement)
        return Step(statement, statement, locks)

    def _is_skipped(self, statement: str, session: Session) -> bool:
        """Tell whether a statement is about the whole server; a new role is made, and goes with the database."""
        ((kind, fields),) = parser.parse(statement).statements[0].items()
        if kind != "CreateRoleStmt":
            return kind in _SERVER_WIDE
        ((exists,),), _ = session.once(_ROLE_EXISTS, {"role": fields["role"]})
        if not exists:
            self.roles.append(fields["role"])
        return bool(exists)


class PostgresCopy(PostgresScratch):
    """A database of one's own that `fill` fills with what another one holds."""

    where = "a copy of the database"

    def __init__(
        self, database: PostgresDatabase, alone: Callable[[str], None], fill: Callable[[], None]
    ) -> None:
        super().__init__(database, alone)
        self._fill = fill
        fill()

    def clear(self) -> None:
        """Fill it anew."""
        self._fill()


class SharedScratch(PostgresScratch):
    """Room made (`make_room`) in a database that others use, by a transaction on `session` that never commits."""

    where = "the database itself, in a transaction that is rolled back"

    def __init__(self, database: PostgresDatabase, session: Session) -> None:
        super().__init__(database, self._refuse)
        self._session = session

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views that were made here."""
        found = catalogues.read(self._session)
        here = {field: _here(getattr(found, field)) for field in found.__struct_fields__}
        return msgspec.structs.replace(found, **here)

    def clear(self) -> None:
        """Undo everything, and make room again."""
        self._session.command(b"ROLLBACK")
        make_room(self._session)

    def _transaction(self) -> Migrating:
        return Nested(self._database, self._session)

    def _step(self, statement: str, transaction: Migrating, there: Collection[int]) -> Step:
        # Whoever has made a table in the same transaction has all locks on it already.
        return msgspec.structs.replace(super()._step(statement, transaction, there), locks=None)

    @staticmethod
    def _refuse(_: str) -> None:
        raise DatabaseError(
            "what runs outside a transaction cannot be rehearsed within one, and the login may not make a database "
            "to do it in",
            sqlstate="42501",
            hint="Let it: alter role ... createdb",
        )


def _here(value: Any) -> Any:
    """Return what a collection of the catalogue holds of schemas that have not stepped aside."""
    if isinstance(value, frozenset):
        return frozenset(filter(_is_here, value))
    if isinstance(value, Mapping):
        return MappingProxyType({key: member for key, member in value.items() if _is_here(key)})
    return value


def _is_here(key: Any) -> bool:
    """Tell whether a schema, or what begins with the name of one, is that of the scratch place."""
    return not (key[0] if isinstance(key, tuple) else key).startswith(_AWAY)


def copy_all(source: str, target: str) -> None:
    """Put what is in one database in the place of what is in another, but for the change log; raises `NoCopy`."""
    dump = ["--format=plain", "--no-password", "--no-owner", "--exclude-table-data=kernel.change*"]
    run = [*programs.QUIET, "--single-transaction", f"--command={programs.EMPTY}", "--file=-"]
    with tempfile.TemporaryFile() as dumped, tempfile.TemporaryFile() as ran:
        try:
            dumping = programs.start("pg_dump", dump, source, stdout=subprocess.PIPE, stderr=dumped)
            dumped_rows = dumping.stdout
            assert dumped_rows is not None  # noqa: S101 - it is a pipe
            running = programs.start("psql", run, target, stdin=dumped_rows, stderr=ran)
        except programs.NoProgram as error:
            raise NoCopy(str(error)) from error
        dumped_rows.close()  # or pg_dump would not notice that psql has ended
        is_filled = running.wait() == 0
        if dumping.wait() != 0 and is_filled:
            raise NoCopy(f"pg_dump failed: {programs.reason(dumped)}")
        if not is_filled:
            raise NoCopy(f"a dump of the database cannot be put back: {programs.reason(ran)}")


def make_room(session: Session) -> None:
    """Make room in a database that others use: its schemas step aside in a transaction that is never committed.

    Others do not see that, and wait only where they change the schema themselves. Raises `DatabaseError` for a
    login that owns too little to do it.
    """
    session.command(b"BEGIN READ WRITE")
    names, _ = session.once(_SCHEMAS, {})
    try:
        for number, (name,) in enumerate(names):
            session.command(f"ALTER SCHEMA {name} RENAME TO {_AWAY}{number}".encode())
        session.command(b"CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public")
        session.command(preparing.COMMANDS)
    except DatabaseError as error:
        if error.sqlstate == "42501":
            error.hint = "To rehearse, the login has to own the schemas, or: alter role ... createdb"
        raise


def _measured(statement: str, before: _Seen, after: _Seen, there: Collection[int]) -> Step:
    held = {table: _strongest(table, before) for table in before.tables}
    locks = [
        Lock(*before.tables[table][:2], *_MODES[mode])
        for table, mode in after.locks - before.locks
        if table in there and table in held and mode == _strongest(table, after) != held[table]
    ]
    rewritten = [
        (schema, name)
        for table, (schema, name, file) in before.tables.items()
        if table in there and after.tables.get(table, ("", "", file))[2] != file
    ]
    by_name = sorted(locks, key=lambda lock: (lock.schema, lock.table))
    return Step(statement, statement, tuple(by_name), tuple(rewritten))


def _strongest(table: int, seen: _Seen) -> str | None:
    return max((mode for held, mode in seen.locks if held == table), key=_STRENGTH.__getitem__, default=None)


def _look(session: Session) -> _Seen:
    tables, _ = session.once(_TABLES, {})
    locks, _ = session.once(_LOCKS, {})
    return _Seen(
        {oid: (schema, name, file) for oid, schema, name, file in tables},
        frozenset((oid, mode) for oid, mode in locks if mode in _MODES),
    )


def _of_concurrent(statement: str, catalogue: Catalogue) -> tuple[Lock, ...]:
    ((kind, fields),) = parser.parse(statement).statements[0].items()
    if not fields.get("concurrent"):
        return ()
    if kind == "IndexStmt":
        relation = fields["relation"]
        tables = [(relation.get("schemaname", "public"), relation["relname"])]
    else:
        names = {item["List"]["items"][-1]["String"]["sval"] for item in fields["objects"]}
        tables = [
            key for key, table in catalogue.tables.items() if names & {index.name for index in table.indexes}
        ]
    return tuple(Lock(*table, *_MODES["ShareUpdateExclusiveLock"]) for table in tables)
