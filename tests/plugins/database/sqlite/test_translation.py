"""PostgreSQL's SQL on SQLite gives PostgreSQL's answers: every case runs on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernel.contracts.database import DatabaseError
from plugins.database.parser import split
from plugins.database.sqlite.database import SqliteDatabase

CASES = Path(__file__).parent / "cases"
SETUP = (CASES / "setup.sql").read_text()

Outcome = list[tuple[Any, ...]] | tuple[str, str, str | None]


class Oracle(Protocol):
    def run(self, sql: str) -> list[tuple[Any, ...]]: ...


def cases(name: str) -> list[str]:
    text = (CASES / f"{name}.sql").read_text()
    return [piece.strip() for piece in "\n".join(text.split("\n")[1:]).split(";\n") if piece.strip()]


def plain(rows: list[tuple[Any, ...]], statement: str) -> list[tuple[Any, ...]]:
    """Compare JSON by value, and rows in order only where the statement asks for one."""
    found = [tuple(by_value(value) for value in row) for row in rows]
    return found if "order by" in statement else sorted(found, key=repr)


def by_value(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def on_postgresql(oracle: Oracle, statement: str) -> Outcome:
    import psycopg

    try:
        rows: list[tuple[Any, ...]] = []
        for piece in split(statement):
            rows = oracle.run(piece)
        return plain(rows, statement)
    except psycopg.Error as error:
        return (error.sqlstate or "", error.diag.message_primary or "", error.diag.constraint_name)


@pytest.fixture
def ours(make_database: Any) -> SqliteDatabase:
    database: SqliteDatabase = make_database()
    with database.schema_transaction() as transaction:
        transaction.script(SETUP)
    return database


@pytest.fixture
def theirs(postgresql: Any) -> Any:
    postgresql.run(SETUP)
    return postgresql


class Undone(Exception):
    pass


def outcome(database: SqliteDatabase, statement: str, schema: bool) -> Outcome:
    rows: list[tuple[Any, ...]] = []
    try:
        with database.schema_transaction() if schema else database.transaction() as transaction:
            for piece in split(statement):
                rows = transaction.query(piece)
            raise Undone
    except Undone:
        return plain(rows, statement)
    except DatabaseError as error:
        return (error.sqlstate, error.message, error.constraint)


def differences(database: SqliteDatabase, oracle: Any, name: str, schema: bool = False) -> list[str]:
    found = []
    for statement in cases(name):
        with oracle.undone():
            expected = on_postgresql(oracle, statement)
        actual = outcome(database, statement, schema)
        if actual != expected:
            found.append(f"{statement}\n  PostgreSQL: {expected}\n  SQLite:     {actual}")
    return found


@pytest.mark.parametrize("name", ["reading", "documents", "moments", "ranges"])
def test_queries_give_the_same_rows(ours: SqliteDatabase, theirs: Any, name: str) -> None:
    assert not "\n".join(differences(ours, theirs, name))


@pytest.mark.parametrize("name", ["writing", "views"])
def test_writes_change_the_same_rows(ours: SqliteDatabase, theirs: Any, name: str) -> None:
    assert not "\n".join(differences(ours, theirs, name))


@pytest.mark.parametrize("name", ["schema", "domains", "types", "sequences"])
def test_schema_statements_succeed_and_fail_alike(ours: SqliteDatabase, theirs: Any, name: str) -> None:
    assert not "\n".join(differences(ours, theirs, name, schema=True))


@pytest.mark.parametrize("name", ["functions", "rows"])
def test_functions_are_made_and_called_alike(ours: SqliteDatabase, theirs: Any, name: str) -> None:
    assert not "\n".join(differences(ours, theirs, name, schema=True))


def test_names_mean_the_same(ours: SqliteDatabase, theirs: Any) -> None:
    assert not "\n".join(differences(ours, theirs, "names", schema=True))


def test_a_script_is_split_where_postgresql_would() -> None:
    script = "select ';'; -- a; comment\nselect $$;$$;; create table \"x;y\" (a int)"
    assert split(script) == ["select ';'", "select $$;$$", 'create table "x;y" (a int)']
