"""Where changes of a schema are rehearsed on PostgreSQL, and how what each statement does is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from kernel.contracts.schema import Blocks, Lock, Step
from plugins.database import parser
from plugins.database.postgresql import catalogue as catalogues
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement

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
    """A database of one's own; or, `shared`, room made in one by a transaction that is never committed."""

    def __init__(self, session: Session, where: str, *, shared: bool = False) -> None:
        self._session = session
        self._shared = shared
        self.where = where

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views that were made here."""
        found = catalogues.read(self._session)
        tables = {key: table for key, table in found.tables.items() if not key[0].startswith(_AWAY)}
        schemas = frozenset(name for name in found.schemas if not name.startswith(_AWAY))
        return msgspec.structs.replace(found, tables=MappingProxyType(tables), schemas=schemas)

    def run(self, sql: str, *, alone: bool = False) -> list[Step]:
        """Run statements, in one transaction unless `alone`, and return what each of them did."""
        if alone:
            if self._shared:
                raise DatabaseError(
                    "what runs outside a transaction cannot be rehearsed within one, and the login may not make "
                    "a database to do it in",
                    sqlstate="42501",
                    hint="Let it: alter role ... createdb",
                )
            return [self._alone(statement) for statement in parser.split(sql)]
        with self._together():
            there = self._look().tables.keys()
            return [self._step(statement, there) for statement in parser.split(sql)]

    @contextmanager
    def _together(self) -> Iterator[None]:
        begin, end, undo = (
            (b"SAVEPOINT file", b"RELEASE file", b"ROLLBACK TO file; RELEASE file")
            if self._shared
            else (b"BEGIN READ WRITE", b"COMMIT", b"ROLLBACK")
        )
        self._session.command(begin)
        try:
            yield
            self._session.command(b"SET CONSTRAINTS ALL IMMEDIATE")
            self._session.command(end)
        except BaseException:
            self._session.command(undo)
            raise

    def _step(self, statement: str, there: Any) -> Step:
        before = self._look()
        once(self._session, statement)
        after = self._look()
        strongest: dict[int, str] = {}
        for table, mode in sorted(after.locks - before.locks, key=lambda lock: _STRENGTH[lock[1]]):
            strongest[table] = mode
        locks = [
            Lock(*before.tables[table][:2], *_MODES[mode])
            for table, mode in strongest.items()
            if table in there and table in before.tables
        ]
        rewritten = [
            (schema, name)
            for table, (schema, name, file) in before.tables.items()
            if table in there and after.tables.get(table, ("", "", file))[2] != file
        ]
        return Step(statement, statement, tuple(locks), tuple(rewritten))

    def _alone(self, statement: str) -> Step:
        """Run a statement whose locks are gone when it ends: what is known of its kind is said instead."""
        locks = _of_concurrent(statement, self.catalogue)
        once(self._session, statement)
        return Step(statement, statement, locks)

    def _look(self) -> _Seen:
        tables, _ = self._session.once(_TABLES, {})
        locks, _ = self._session.once(_LOCKS, {})
        return _Seen(
            {oid: (schema, name, file) for oid, schema, name, file in tables},
            frozenset((oid, mode) for oid, mode in locks if mode in _MODES),
        )


def shared(session: Session) -> PostgresScratch:
    """Make room in a database that others use: its schemas step aside in a transaction that is never committed.

    Others do not see that, and wait only where they change the schema themselves. Raises `DatabaseError` for a
    login that owns too little to do it.
    """
    session.command(b"BEGIN READ WRITE")
    names, _ = session.once(_SCHEMAS, {})
    try:
        for number, (name,) in enumerate(names):
            session.command(f"ALTER SCHEMA {name} RENAME TO {_AWAY}{number}".encode())
        session.command(b"CREATE SCHEMA public")
    except DatabaseError as error:
        if error.sqlstate == "42501":
            error.hint = "To rehearse, the login has to own the schemas, or: alter role ... createdb"
        raise
    return PostgresScratch(session, "the database itself, in a transaction that is rolled back", shared=True)


def once(session: Session, statement: str) -> None:
    """Run one statement of a script; the error of a failing one names it."""
    try:
        session.once(Statement(statement.encode(), ()), {})
    except DatabaseError as error:
        error.statement = statement
        raise


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
