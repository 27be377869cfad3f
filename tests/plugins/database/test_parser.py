"""The translator on arbitrary text: a DatabaseError or SQL that SQLite accepts, never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import Compiled, DatabaseError
from plugins.database import parser
from plugins.database.sqlite.database import SqliteDatabase

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SETUP = (Path(__file__).parent / "sqlite" / "cases" / "setup.sql").read_text()

names = st.sampled_from(["id", "name", "n", "price", "ok", "at", "d", "j", "b.label", "nope"])
literals = st.sampled_from(["1", "2.5", "'x'", "null", "true", "'2024-01-01'", ":p", "now()", "'{}'", "-1"])
operators = st.sampled_from(
    ["=", "<", "+", "-", "*", "/", "||", "->", "->>", "and", "or", "like", "is distinct from"]
)
calls = st.sampled_from(
    ["lower", "sum", "count", "coalesce", "abs", "max", "length", "round", "date_trunc", "nope"]
)
expressions = st.recursive(
    names | literals,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("{}({})".format, calls, inner),
        st.builds("{}({}, {})".format, calls, inner, inner),
        st.builds(
            "cast({} as {})".format,
            inner,
            st.sampled_from(["int", "text", "numeric", "jsonb", "timestamptz"]),
        ),
        st.builds("case when {} then {} else {} end".format, inner, inner, inner),
        st.builds("({} is null)".format, inner),
        st.builds("({} in ({}, {}))".format, inner, inner, inner),
        st.builds("(select {} from a limit 1)".format, inner),
    ),
    max_leaves=8,
)
queries = st.builds(
    "select {} from a {} where {} {} order by {} limit 3".format,
    expressions,
    st.sampled_from(["", "join b using (id)", "left join b on b.a_id = a.id", ", b"]),
    expressions,
    st.sampled_from(["", "group by a.id", "group by 1", "group by name having count(*) > 1"]),
    expressions | st.sampled_from(["1", "2 desc"]),
)


@pytest.fixture(scope="module")
def image() -> bytes:
    from kernel.sources import SystemClock, SystemIds
    from plugins.database.sqlite.connections import Limits

    database = SqliteDatabase(None, Limits(10.0, 1.0, 1000), SystemClock(), SystemIds(), lambda _: None)
    with database.schema_transaction() as transaction:
        transaction.script(SETUP)
    found = database.image()
    database.close()
    return found


@pytest.fixture
def filled(embedded: SqliteDatabase, image: bytes) -> SqliteDatabase:
    embedded.load(image)
    return embedded


@quick
@given(text=st.text())
@example("select :a::int, ':b', $$:c$$, \":d\", e'\\':e', a[1:2] /* :f /* :g */ */ -- :h\n")
@example("((((((((((" * 1000)
@example("select " + "-" * 5000 + " 1")
@example("select " + "(" * 3000 + "1" + ")" * 3000)
@example("select " + "1+" * 5000 + "1")
def test_any_text_is_parsed_or_refused(filled: SqliteDatabase, text: str) -> None:
    try:
        plan = filled.translate(text, filled.catalogue)
    except DatabaseError:
        return
    assert plan.kind in ("read", "write", "schema")


@quick
@given(query=queries)
def test_what_is_translated_is_sql_that_sqlite_prepares(filled: SqliteDatabase, query: str) -> None:
    try:
        plan = filled.translate(query, filled.catalogue)
    except DatabaseError:
        return
    filled.query(Compiled("EXPLAIN " + plan.sql), {"p": None})


def test_parameters_are_found_where_they_are_and_nowhere_else() -> None:
    text = "select :a::int, ':b', $$:c$$, \":d\", e'\\':e', :a, :Ab_1 /* :f /* :g */ */ -- :h\n"
    parsed = parser.parse(text)
    assert parsed.parameters == ("a", "Ab_1")
    assert parsed.source.decode().startswith("select $1::int, ':b'")


def test_positional_parameters_are_refused(filled: SqliteDatabase) -> None:
    with pytest.raises(DatabaseError, match="parameters are written :name"):
        filled.query("select $1")


@pytest.mark.parametrize(
    ("statement", "feature"),
    [
        ("select * from rows from (generate_series(1, 3), generate_series(1, 2))", "ROWS FROM"),
        ("select array[[1]]", "several dimensions"),
        ("select j @? '$.a' from a", "operator @?"),
        ("select name ~<~ 'x' from a", "operator ~<~"),
        ("select interval '1 day' day to minute", "interval with fields"),
        ("select id from a tablesample system (10)", "TABLESAMPLE"),
        ("merge into a using b on true when matched then delete", "MERGE"),
        ("create table x (a int) inherits (a)", "inhRelations"),
        ("create temp table x (a int)", "temporary"),
        ("create table x (a int generated always as (1) virtual)", "virtual"),
        ('create table x (a text collate "de-DE")', "COLLATE"),
        ("create table x (a int[][] )", "several dimensions"),
        ('create table "A" (a int)', "differ in case"),
        ('create table "x.y" (a int)', "holds a dot"),
        ("create unique index on a (name) nulls not distinct", "nulls_not_distinct"),
        ("create materialized view x as select 1", "a materialized view"),
        ("create view x as select 1 with check option", "WITH CHECK OPTION"),
        ("create extension postgis", "extension"),
        ("create trigger t after insert on a execute function f()", "CREATE TRIG"),
        ("grant connect on database a to anon", "GRANT on a database"),
        ("create role r noinherit", "a role with INHERIT"),
        ("begin", "BEGIN, COMMIT"),
        ("vacuum", "VACUUM"),
        ("create type t as (x int)", "a composite type"),
        ("select '(1,2)'::point", "type point"),
        ("select id from a where name ~ '(?=x)'", "look-around"),
    ],
)
def test_what_sqlite_cannot_do_is_refused_by_name(
    filled: SqliteDatabase, statement: str, feature: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        filled.translate(statement, filled.catalogue)
    assert caught.value.sqlstate in ("0A000", "42601")
    assert feature in caught.value.message
    assert caught.value.sqlstate != "0A000" or statement[:20] in (caught.value.detail or "")
