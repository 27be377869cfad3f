"""Both engines side by side, and callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kernel.identity import Identity
from kernel.sources import SystemClock, SystemIds
from plugins.database.postgresql import connections
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase

ANN_ID, BOB_ID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ANN = Identity("authenticated", ANN_ID, {"team": 1, "email": "ann@example.org"})
BOB = Identity("authenticated", BOB_ID, {"team": 2})
ANON = Identity("anon")


def open_sqlite() -> SqliteDatabase:
    return SqliteDatabase(None, Limits(10.0, 5.0, 20_000), SystemClock(), SystemIds(), lambda _: None)


def open_postgresql(url: str, owner_url: str | None = None) -> PostgresDatabase:
    limits = connections.Limits(connections=4, statement_timeout=10.0, lock_timeout=5.0)
    return PostgresDatabase(url, limits, lambda _: None, owner_url)


@pytest.fixture(scope="module")
def permissions_url(make_postgresql_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return make_postgresql_database()


@pytest.fixture(scope="module")
def engines(permissions_url: str) -> Iterator[tuple[SqliteDatabase, PostgresDatabase]]:
    """A SQLite and a PostgreSQL database that know the standard roles."""
    both = open_sqlite(), open_postgresql(permissions_url)
    for database in both:
        database.prepare()
    yield both
    for database in both:
        database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, engines: Any) -> Any:
    """Each of the two, without tables."""
    found = engines[0 if request.param == "sqlite" else 1]
    with found.schema_transaction() as transaction:
        transaction.script("drop table if exists notes, posts, members cascade")
    return found
