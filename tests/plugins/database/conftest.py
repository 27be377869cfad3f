"""Databases in memory and on disk, and PostgreSQL itself to compare answers with."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernel.events import Event
from kernel.sources import SystemClock, SystemIds
from plugins.database.postgresql import connections
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase
from plugins.database.sqlite.stored import RANGES

LIMITS = Limits(statement_timeout=10.0, busy_timeout=5.0, inline_steps=20_000)


class MakeDatabase(Protocol):
    """Opens a database that the test's end closes; None is one in memory."""

    def __call__(
        self, path: Path | None = None, limits: Limits = LIMITS, publish: Callable[[Event], None] = ...
    ) -> SqliteDatabase: ...


@pytest.fixture
def make_database() -> Iterator[MakeDatabase]:
    """A factory of databases."""
    opened: list[SqliteDatabase] = []

    def make(
        path: Path | None = None, limits: Limits = LIMITS, publish: Callable[[Event], None] = lambda _: None
    ) -> SqliteDatabase:
        database = SqliteDatabase(path, limits, SystemClock(), SystemIds(), publish)
        opened.append(database)
        return database

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def embedded(make_database: MakeDatabase) -> SqliteDatabase:
    """An empty SQLite database in memory."""
    return make_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_database(
    request: pytest.FixtureRequest, make_database: MakeDatabase
) -> Iterator[Callable[..., SqliteDatabase | PostgresDatabase]]:
    """A function that opens an empty database on either engine, given what publishes its events."""
    if request.param == "sqlite":
        yield lambda publish=ignored: make_database(publish=publish)
        return
    url = request.getfixturevalue("postgresql_url")
    opened: list[PostgresDatabase] = []

    def open_(publish: Callable[[Event], None] = ignored) -> PostgresDatabase:
        limits = connections.Limits(connections=12, statement_timeout=10.0, lock_timeout=5.0)
        opened.append(PostgresDatabase(url, limits, publish))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[..., Any]) -> Any:
    """An empty database, on both engines in turn."""
    return open_database()


def ignored(_: Event) -> None:
    """Publish nothing."""


def in_json_form(value: Any) -> Any:
    """Return a value psycopg read as the Database contract has it travel."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        text = moment.replace(microsecond=0, tzinfo=None).isoformat()
        if moment.microsecond:
            text += f".{moment.microsecond:06d}".rstrip("0")
        return text + ("+00:00" if value.tzinfo else "")
    if isinstance(value, time):
        text = value.replace(microsecond=0).isoformat()
        return text + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(as_element, value))}]"
    return value


def as_element(value: Any) -> str:
    """Return an array's element as JSON."""
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    form = in_json_form(value)
    return form if isinstance(value, (Decimal, list)) else json.dumps(form)


class PostgreSQL:
    """A database of its own on a PostgreSQL server."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the block's end what it did."""
        import psycopg

        with self._connection.transaction():
            yield
            raise psycopg.Rollback

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run statements and return the last one's rows, in the contract's forms."""
        cursor = self._connection.execute(sql)
        if cursor.description is None:
            return []
        return [tuple(in_json_form(value) for value in row) for row in cursor.fetchall()]


@pytest.fixture
def postgresql(postgresql_server: str) -> Iterator[PostgreSQL]:
    """An empty PostgreSQL schema, in a transaction that is rolled back."""
    import psycopg
    from psycopg.types.json import set_json_loads
    from psycopg.types.string import TextLoader

    with psycopg.connect(postgresql_server) as connection:
        set_json_loads(lambda text: bytes(text).decode() if not isinstance(text, str) else text, connection)
        for kind in ("interval", "timetz", *RANGES):
            connection.adapters.register_loader(kind, TextLoader)
        connection.execute("set timezone to 'UTC'")
        # A name of its own: tests in parallel would wait for one another's uncommitted schema.
        name = f"oracle_{uuid.uuid4().hex}"
        connection.execute(f"create schema {name}".encode())
        connection.execute(f"set search_path to {name}".encode())
        yield PostgreSQL(connection)
        connection.rollback()
