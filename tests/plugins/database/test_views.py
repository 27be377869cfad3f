"""Views: which columns of tables they show, what tells their rows apart, and what can be written to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.catalogue import Origin, Table
from plugins.database.postgresql.connections import Limits
from plugins.database.postgresql.database import PostgresDatabase

SCHEMA = """
create table authors (id int primary key, name text not null, born date);
create table books (
    id int, edition int, author_id int references authors, title text, pages int, primary key (id, edition)
);
create table "Odd {names}" ("a ""b" int primary key, "c\\d}" text, "resno 1 :resorigtbl 5" int);
"""


COLUMNS = {
    "select id, name from authors": "id=authors.id name=authors.name",
    "select name as who, (id) as key from authors": "who=authors.name key=authors.id",
    "select id, id as again from authors": "id=authors.id again=authors.id",
    "select a.id, A.name from authors a": "id=authors.id name=authors.name",
    "select * from authors": "id=authors.id name=authors.name born=authors.born",
    "select s.*, name from (select id, title from books) s, authors": "id=books.id title=books.title name=authors.name",
    "select a.id, b.id as other from authors a left join authors b on true": "id=authors.id other=authors.id",
    "select id from books join authors using (id)": "id=books.id",
    "select id from books left join authors using (id)": "id=books.id",
    "select id from books right join authors using (id)": "id=authors.id",
    "select id, title from books full join authors using (id)": "title=books.title",
    "select id, title, name from books natural join authors": "id=books.id title=books.title name=authors.name",
    "select upper(name) as name, id + 0 as id, 1 as one, null as two from authors": "",
    "select id::text as id, name from authors": "name=authors.name",
    "select coalesce(name, 'x') as name, case when true then id end as id from authors": "",
    "select author_id, count(*), max(title) as title from books group by author_id": "author_id=books.author_id",
    "select distinct author_id from books": "author_id=books.author_id",
    "select id, name from authors where id > 3 order by born limit 5": "id=authors.id name=authors.name",
    "select id from authors union select id from books": "",
    "select id from authors union all select id from authors": "",
    "select id, (select max(id) from books) as last, (select name) as name from authors": "id=authors.id",
    "select s.id, s.x from (select id, name as x, 1 as y from authors) s": "id=authors.id x=authors.name",
    "select * from (select id, name || '' as name from authors) s": "id=authors.id",
    "select * from (select id, name from authors) s(a, b)": "a=authors.id b=authors.name",
    "select * from (select id from authors union select 1) s": "",
    "select id, title from (select * from (select * from books) x) y": "id=books.id title=books.title",
    "with c as (select id, upper(name) as name from authors) select * from c": "id=authors.id",
    "with c(x, y) as (select id, name from authors) select y, x from c d": "y=authors.name x=authors.id",
    "with a as (select id from authors), b as (select * from a) select id from b": "id=authors.id",
    "with authors as (select 1 as id) select id from authors": "",
    (
        "with recursive c as (select id from authors union all select id + 1 from c where id < 5)"
        " select id from c"
    ): "",
    "select * from (values (1, 'x')) s(id, name)": "",
    "select generate_series(1, 3) as n, id from authors": "id=authors.id",
    "select s.n, a.id from authors a, generate_series(1, 2) as s(n)": "id=authors.id",
    "select id, t from authors a, lateral (select title as t from books) l": "id=authors.id t=books.title",
    "select row_number() over () as n, id from authors": "id=authors.id",
    (
        "select exists (select id from books where author_id = a.id) as has, name from authors a where"
        " id in (select author_id from books)"
    ): "name=authors.name",
}


def changed(database: Any, sql: str) -> Any:
    with database.schema_transaction() as transaction:
        transaction.script(sql)
    return database


def view_of(database: Any, name: str = "v") -> Table:
    view = database.catalogue.table(name)
    assert view is not None
    assert view.kind == "view"
    return view  # type: ignore[no-any-return]


def shown(view: Table) -> dict[str, str]:
    """The origins, as ``table.column``."""
    return {column: f"{origin.table}.{origin.column}" for column, origin in view.origins.items()}


def with_views(database: Any, queries: Iterable[str], *, over: bool = False) -> dict[str, Table]:
    """Make a view of each query, or such a view and one `over` that; return the views by their queries."""
    script = [SCHEMA]
    for place, query in enumerate(queries):
        script.append(f"create view v{place} as {query};")
        if over:
            script.append(f"create view over{place} as select * from v{place};")
    changed(database, "".join(script))
    return {
        query: view_of(database, f"{'over' if over else 'v'}{place}") for place, query in enumerate(queries)
    }


def test_the_columns_that_a_view_shows(database: Any) -> None:
    views = with_views(database, COLUMNS)
    found = {
        query: " ".join(f"{own}={origin}" for own, origin in shown(view).items())
        for query, view in views.items()
    }
    assert found == COLUMNS


def test_names_that_need_quotes(database: Any) -> None:
    changed(
        database,
        f"""{SCHEMA}; create view v as
        select "a ""b", "c\\d}}" as "{{", "resno 1 :resorigtbl 5" as " :resno 9 " from "Odd {{names}}" """,
    )
    assert shown(view_of(database)) == {
        'a "b': 'Odd {names}.a "b',
        "{": "Odd {names}.c\\d}",
        " :resno 9 ": "Odd {names}.resno 1 :resorigtbl 5",
    }


def test_a_views_own_names_for_its_columns(database: Any) -> None:
    changed(database, f"{SCHEMA}; create view v (who, x) as select id, name, born from authors")
    assert shown(view_of(database)) == {"who": "authors.id", "x": "authors.name", "born": "authors.born"}


def test_origins_are_in_their_schema_and_in_the_order_of_the_columns(database: Any) -> None:
    changed(
        database,
        "create schema other; create table other.things (id int primary key, b int, a int);"
        "create view v as select a, id, b from other.things",
    )
    assert list(view_of(database).origins.items()) == [
        (column, Origin("other", "things", column)) for column in ("a", "id", "b")
    ]


def test_views_over_views_lead_to_the_tables(database: Any) -> None:
    changed(
        database,
        f"{SCHEMA}; create view first as select id as key, name, upper(name) as loud from authors;"
        "create view second as select f.key, f.loud, b.title from first f join books b on b.author_id = f.key;"
        "create view v as select s.key as k, s.loud, s.title as t from (select * from second) s",
    )
    assert shown(view_of(database)) == {"k": "authors.id", "t": "books.title"}


def test_a_replaced_view_shows_other_columns_to_those_above_it(database: Any) -> None:
    changed(
        database,
        f"{SCHEMA}; create view first as select id, title from books; create view v as select id, title from first",
    )
    assert shown(view_of(database)) == {"id": "books.id", "title": "books.title"}
    changed(database, "create or replace view first as select id, upper(title) as title from books")
    assert shown(view_of(database)) == {"id": "books.id"}


def test_columns_added_and_renamed_later(database: Any) -> None:
    changed(
        database,
        f"{SCHEMA}; create view first as select * from authors; create view v as select id, name from first;"
        "alter table authors rename column id to number; alter table authors add column more text;"
        "alter table authors rename to writers",
    )
    assert shown(view_of(database, "first")) == {
        "id": "writers.number", "name": "writers.name", "born": "writers.born",
    }  # fmt: skip
    assert shown(view_of(database)) == {"id": "writers.number", "name": "writers.name"}
    assert view_of(database).primary_key == ("id",)


KEYS = {
    "select name, id from authors": ("id",),
    "select name from authors": (),
    "select id, id as again from authors": ("id",),
    "select edition as e, id as i, title from books": ("i", "e"),
    "select id, title from books": (),
    "select id + 0 as id from authors": (),
    "select b.id as b, b.edition, a.id as a from books b join authors a on true": ("b", "edition", "a"),
    "select b.id as b, a.id as a from books b join authors a on true": ("a",),
}


@pytest.mark.parametrize("over", [False, True])
def test_a_views_primary_key_is_what_it_shows_of_those_of_tables(database: Any, over: bool) -> None:
    views = with_views(database, KEYS, over=over)
    assert {query: view.primary_key for query, view in views.items()} == KEYS


WRITABLE = {
    "select * from authors": {"insert", "update", "delete"},
    "select id, upper(name) as name from authors where id > 1": {"insert", "update", "delete"},
    "select upper(name) as name from authors": {"delete"},
    "select a.id from authors a join books b on true": set(),
    "select distinct id from authors": set(),
    "select id from authors limit 3": set(),
    "select id from authors union all select id from books": set(),
    "select count(*) from authors": set(),
    "select 1 as one": set(),
}


@pytest.mark.parametrize("over", [False, True])
def test_what_can_be_written_to_a_view(database: Any, over: bool) -> None:
    views = with_views(database, WRITABLE, over=over)
    assert {query: view.writable for query, view in views.items()} == WRITABLE
    assert database.catalogue.table("authors").writable == {"insert", "update", "delete"}


def test_what_views_show_is_kept_in_the_file(make_database: Any, tmp_path: Path) -> None:
    database = changed(
        make_database(tmp_path / "file.db"),
        f"{SCHEMA}; create view first as select id, name from authors; create view v as select * from first",
    )
    again = make_database(tmp_path / "file.db")
    assert again.catalogue.tables == database.catalogue.tables
    assert shown(view_of(again)) == {"id": "authors.id", "name": "authors.name"}


@pytest.fixture
def server_database(postgresql_url: str) -> Iterator[PostgresDatabase]:
    """An empty database on PostgreSQL."""
    database = PostgresDatabase(postgresql_url, Limits(4, 10.0, 5.0), lambda _: None)
    yield database
    database.close()


def test_views_with_triggers_take_what_these_are_for(server_database: Any) -> None:
    changed(
        server_database,
        f"{SCHEMA}; create view v as select distinct id from authors;"
        "create function nothing() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger t instead of insert or delete on v for each row execute function nothing()",
    )
    assert view_of(server_database).writable == {"insert", "delete"}


def test_a_materialized_view_is_a_view_that_nobody_can_write_to(server_database: Any) -> None:
    changed(
        server_database,
        f"{SCHEMA}; create materialized view v as select id, upper(name) as name from authors",
    )
    view = view_of(server_database)
    assert (shown(view), view.primary_key, view.writable) == ({"id": "authors.id"}, ("id",), frozenset())


def test_a_foreign_table_takes_what_its_server_does(server_database: Any) -> None:
    changed(
        server_database,
        "create extension file_fdw; create foreign data wrapper nothing;"
        "create server files foreign data wrapper file_fdw; create server nowhere foreign data wrapper nothing;"
        "create foreign table readable (id int) server files options (filename '/none');"
        "create foreign table unreachable (id int) server nowhere;"
        "create view v as select * from readable",
    )
    for name in ("readable", "unreachable"):
        table = server_database.catalogue.table(name)
        assert (table.kind, table.writable) == ("table", frozenset())
    assert shown(view_of(server_database)) == {"id": "readable.id"}
    assert view_of(server_database).writable == frozenset()
    changed(server_database, "drop extension file_fdw cascade; drop foreign data wrapper nothing cascade")


def test_partitions_are_part_of_their_table(server_database: Any) -> None:
    changed(
        server_database,
        "create table parts (id int primary key) partition by range (id);"
        "create table low partition of parts for values from (0) to (10);"
        "create table high partition of parts for values from (10) to (20);"
        "create table uses (id int primary key, part int references parts)",
    )
    assert {name for schema, name in server_database.catalogue.tables if schema == "public"} == {
        "parts",
        "uses",
    }
    parts, uses = (server_database.catalogue.table(name) for name in ("parts", "uses"))
    assert (parts.kind, parts.primary_key, parts.writable) == (
        "table",
        ("id",),
        {"insert", "update", "delete"},
    )
    assert [key.referenced_table for key in uses.foreign_keys] == ["parts"]


def test_views_that_read_one_another_are_told_of(database: Any) -> None:
    changed(
        database,
        f"{SCHEMA}; create view v as select id from authors; create view other as select id from v;"
        "create or replace view v as select id from other",
    )
    for name in ("v", "other"):
        assert view_of(database, name).origins == {}
