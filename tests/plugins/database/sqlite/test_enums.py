"""Enumerations: their labels' order and errors are PostgreSQL's, on both engines alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.catalogue import Enum
from kernel.contracts.database import Compiled, DatabaseError

SETUP = """
create type mood as enum ('sad', 'ok', 'happy');
create schema game;
create type game.level as enum ('B', 'a');
create table people (id int primary key, now mood not null default 'ok', past mood[], level game.level,
    check (now <> 'sad' or past is null), unique (now, id));
create index on people (now desc) where now > 'sad';
insert into people values (1, 'happy', '{sad,ok}', 'a'), (2, 'ok', null, 'B'),
    (3, default, array['happy']::mood[], null);
"""
QUERIES = [
    "select id, now, past, level from people order by now, id",
    "select id from people order by now desc, id desc",
    "select id from people order by level, id",
    "select id from people where now > 'ok'",
    "select id from people where now >= 'ok' and now in ('ok', 'happy') order by id",
    "select min(now), max(now), count(distinct now) from people",
    "select now, count(*) from people group by now order by now",
    "select distinct now from people order by now desc",
    "select now::text || '!', upper(now::text), concat(now), to_jsonb(now), to_jsonb(past) from people order by id",
    "select id from people where 'sad' = any(past)",
    "select id from people where past @> '{happy}'",
    "select past[1], unnest(past), array_length(past, 1) from people where id = 1",
    "select coalesce(level, 'a'), case when id = 1 then 'sad' else now end from people order by id",
    "select greatest(now, 'ok'), least(now, 'ok') from people order by id",
    "select 'ok'::mood < 'happy'::mood, 'happy'::text::mood, array['ok', 'sad']::mood[]::text, null::mood",
    "select array_agg(now order by now), string_agg(now::text, ',' order by id) from people",
    "select jsonb_agg(now order by id) from people",
    "select 'nope'::mood",
    "select id from people where now = 'nope'",
    "select '{ok,nope}'::mood[]",
    "select id from people where now = 'ok'::text",
    "select id from people where now::text like 'h%'",
    "select 1::mood",
    "select now + 1 from people",
    "select 'a'::game.level, 'B'::game.level < 'a'::game.level",
    "insert into people values (4, 'nope')",
    "insert into people values (4, 'sad', '{}')",
    "insert into people values (4, 'ok'::text)",
    "insert into people values (1, 'ok')",
    "insert into people (id, now) values (4, 'sad') returning now",
    "update people set now = 'nope'",
    "update people set now = 'happy' where id = 2 returning now",
]


def answer(run: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return run(*arguments)
    except DatabaseError as error:
        return (error.sqlstate, error.message)


def written(database: Any, statement: str) -> Any:
    """Run a statement and undo it."""

    class Undone(Exception):
        pass

    found = None
    try:
        with database.transaction() as transaction:
            found = transaction.query(statement)
            raise Undone
    except Undone:
        return found


@pytest.fixture
def both(make_database: Any, postgresql_url: str) -> Any:
    from plugins.database.postgresql import connections
    from plugins.database.postgresql.database import PostgresDatabase

    limits = connections.Limits(connections=4, statement_timeout=10.0, lock_timeout=5.0)
    theirs = PostgresDatabase(postgresql_url, limits, lambda _: None)
    ours = make_database()
    for database in (ours, theirs):
        with database.schema_transaction() as transaction:
            transaction.script(SETUP)
    yield ours, theirs
    theirs.close()


def plain(value: Any) -> Any:
    """Leave out how booleans and JSON are written, in which the contract leaves the engines free."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list):
        return list(map(plain, value))
    if isinstance(value, str) and value[:1] == "{":
        return tuple(value.strip("{}").split(","))
    if isinstance(value, str) and value[:1] == "[":
        return tuple(value.strip("[]").replace('"', "").replace(" ", "").split(","))
    return value


def test_queries_and_writes_give_postgresqls_answers(both: Any) -> None:
    ours, theirs = both
    found = []
    for statement in QUERIES:
        expected, actual = answer(written, theirs, statement), answer(written, ours, statement)
        if plain(actual) != plain(expected):
            found.append(f"{statement}\n  PostgreSQL: {expected}\n  SQLite:     {actual}")
    assert not "\n".join(found)


def test_the_catalogue_holds_the_labels(both: Any) -> None:
    for database in both:
        assert database.catalogue.enums["public", "mood"] == Enum("public", "mood", ("sad", "ok", "happy"))
        assert [column.type for column in database.catalogue.tables["public", "people"].columns.values()] == [
            "integer", "mood", "mood[]", "game.level",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "alter type mood add value 'great'",
        "alter type mood add value 'meh' before 'ok'",
        "alter type mood add value 'meh' after 'ok'",
        "alter type mood add value if not exists 'ok'",
        "alter type mood add value 'ok'",
        "alter type mood add value 'x' before 'nope'",
        "alter type game.level rename value 'B' to 'Z'",
        "alter type game.level rename value 'nope' to 'Z'",
        "alter type game.level rename value 'B' to 'a'",
        "drop type mood",
    ],
)
def test_types_change_as_on_postgresql(both: Any, statement: str) -> None:
    results = []
    for database in both:

        def change(database: Any = database) -> None:
            with database.schema_transaction() as transaction:
                transaction.script(statement)

        changed = answer(change)
        labels = {key: enum.labels for key, enum in database.catalogue.enums.items()}
        rows = database.query("select id, now, level from people order by now, level, id")
        for change_of_row in (
            "update people set now = 'meh' where id = 2 returning id",
            "update people set now = 'great' where id = 2 returning id",
            "update people set level = 'Z' where id = 1 returning level",
        ):
            rows.append(answer(written, database, change_of_row))
        results.append((changed, labels, rows))
    assert results[0] == results[1]


def test_an_order_that_changed_is_kept_in_the_file(make_database: Any, tmp_path: Path) -> None:
    first, second = make_database(tmp_path / "db"), make_database(tmp_path / "db")
    with first.schema_transaction() as transaction:
        transaction.script(SETUP)
    assert second.query("select count(*) from people") == [(3,)]
    with first.schema_transaction() as transaction:
        transaction.script("alter type mood add value 'worse' before 'sad'")
    with first.transaction() as transaction:
        transaction.execute("insert into people (id, now) values (9, 'worse')")
    second.forget_catalogue()
    for database in (first, second, make_database(tmp_path / "db")):
        assert database.query("select id from people order by now, id limit 1") == [(9,)]
        assert database.query(Compiled("select id from people order by now, id limit 1")) == [(9,)]
        assert database.query(Compiled("pragma integrity_check")) == [("ok",)]


def test_stored_values_go_in_and_out(both: Any) -> None:
    for database in both:
        stored = database.stored("mood")
        read = Compiled(f"select {stored.from_text.format(':v')}")
        assert database.query(read, {"v": "ok"}) == [("ok",)]
        with pytest.raises(DatabaseError, match='invalid input value for enum mood: "nope"'):
            database.query(read, {"v": "nope"})
        assert stored.ordered


def test_what_is_refused_says_so(make_database: Any) -> None:
    database = make_database()
    with database.schema_transaction() as transaction:
        transaction.script(SETUP + "create view happy as select id, now from people;")
    for statement, feature in (
        ("alter type mood add value 'x'", 'while the view "happy"'),
        ("alter type mood rename value 'ok' to 'fine'", 'while the view "happy"'),
        ("create type point2 as (x int, y int)", "a composite type"),
    ):
        with (
            pytest.raises(DatabaseError, match=feature) as caught,
            database.schema_transaction() as transaction,
        ):
            transaction.script(statement)
        assert caught.value.sqlstate == "0A000"
