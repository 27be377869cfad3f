"""SQLite and PostgreSQL side by side: the same statements, and whether their outcomes are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from kernel.contracts.database import DatabaseError
from kernel.sources import SystemClock, SystemIds
from plugins.database.postgresql import connections
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase


class Undone(Exception):
    """Rolls a transaction back."""


class Outcome(msgspec.Struct, frozen=True):
    """What one statement did: its rows and how many it counted, or how it failed."""

    rows: tuple[Any, ...] = ()
    count: int = 0
    failure: tuple[str | None, ...] = ()
    message: str = ""

    def agrees(self, theirs: Outcome) -> bool:
        """Tell whether PostgreSQL did the same; where it names no table or column, ours may name one."""
        named = zip(self.failure, theirs.failure, strict=False)
        failed = len(self.failure) == len(theirs.failure) and all(
            their in (our, None) for our, their in named
        )
        return failed and self.rows == theirs.rows and self.count == theirs.count

    def sorted(self) -> Outcome:
        """Return the same with its rows in an order that does not matter."""
        return msgspec.structs.replace(self, rows=tuple(sorted(self.rows, key=repr)))


def plain(value: Any) -> Any:
    """Return a value such that what both engines mean alike is equal: documents by what they hold, 1 and true."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.dumps(json.loads(value))
        except ValueError:
            return value
    return value


def outcome(transaction: Any, statement: str, params: Mapping[str, Any]) -> Outcome:
    """Run one statement and tell what it did."""
    try:
        rows, count = transaction._attempt(statement, params)
    except DatabaseError as error:
        return Outcome(
            failure=(error.sqlstate, error.constraint, error.table, error.column), message=error.message
        )
    return Outcome(tuple(tuple(map(plain, row)) for row in rows), count)


class Engines:
    """Both databases."""

    def __init__(self, sqlite: SqliteDatabase, postgresql: PostgresDatabase) -> None:
        self.sqlite = sqlite
        self.postgresql = postgresql

    def schema(self, sql: str) -> None:
        """Make the same schema in both, in place of what is there."""
        for database in (self.sqlite, self.postgresql):
            with database.schema_transaction() as transaction:
                transaction.script(sql)

    def attempt(self, sql: str) -> tuple[Outcome, Outcome]:
        """Make the same schema in both, in place of what is there, and tell how that went."""
        found = []
        for database in (self.sqlite, self.postgresql):
            try:
                with database.schema_transaction() as transaction:
                    transaction.script(sql)
                found.append(Outcome())
            except DatabaseError as error:
                found.append(
                    Outcome(failure=(error.sqlstate,), message=f"{error.message}: {error.statement}")
                )
        return found[0], found[1]

    def both(self, statement: str) -> None:
        """Run a statement in both, for good."""
        for database in (self.sqlite, self.postgresql):
            with database.transaction() as transaction:
                transaction.query(statement)

    def outcomes(
        self, *statements: str, params: Mapping[str, Any] | None = None
    ) -> list[tuple[Outcome, Outcome]]:
        """Run statements in one transaction that is undone; return SQLite's and PostgreSQL's outcome of each."""
        each = []
        for database in (self.sqlite, self.postgresql):
            found: list[Outcome] = []
            try:
                with database.transaction() as transaction:
                    for statement in statements:
                        found.append(outcome(transaction, statement, params or {}))
                        if found[-1].failure:
                            break
                    raise Undone
            except Undone:
                each.append(found)
        ours, theirs = each
        filled = max(len(ours), len(theirs))
        return list(
            zip(
                *(
                    side + [Outcome(failure=("not reached",))] * (filled - len(side))
                    for side in (ours, theirs)
                ),
                strict=True,
            )
        )


@pytest.fixture(scope="module")
def engines(make_postgresql_database: Callable[[], str]) -> Iterator[Engines]:
    """Both engines, empty."""
    limits = connections.Limits(connections=4, statement_timeout=10.0, lock_timeout=5.0)
    sqlite = SqliteDatabase(None, Limits(10.0, 5.0, 20_000), SystemClock(), SystemIds(), lambda _: None)
    postgresql = PostgresDatabase(make_postgresql_database(), limits, lambda _: None)
    sqlite.prepare()
    postgresql.prepare()
    yield Engines(sqlite, postgresql)
    sqlite.close()
    postgresql.close()
