"""The catalogue: PostgreSQL's names and types, cached, and never out of date for long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from kernel.contracts.catalogue import Argument, Column, ForeignKey, Function, Index
from plugins.database.sqlite.database import SqliteDatabase

SCHEMA = """
create schema if not exists auth;
create table auth.users (id uuid primary key default gen_random_uuid(), email varchar(50) not null unique);
create table todos (
    id bigint generated always as identity primary key,
    owner uuid references auth.users on delete cascade,
    title text not null default 'it''s', -- a comment, with a comma
    price numeric(10,2) default (1 + 1) check (price > 0),
    done bool not null default false,
    made timestamptz default now(),
    shout text generated always as (upper(title)) stored,
    n smallint,
    unique (owner, title)
);
"""


def changed(database: Any, sql: str) -> SqliteDatabase:
    with database.schema_transaction() as transaction:
        transaction.script(sql)
    return database


def with_schema(database: Any) -> SqliteDatabase:
    return changed(database, SCHEMA)


def without_cast(column: Column) -> Column:
    """Take off the type that PostgreSQL writes behind a literal."""
    return msgspec.structs.replace(column, default=column.default and column.default.removesuffix("::text"))


def test_columns_keep_the_declared_types_defaults_and_order(database: Any) -> None:
    table = with_schema(database).catalogue.table("todos")
    assert table is not None
    assert [without_cast(column) for column in table.columns.values()] == [
        Column(name="id", type="bigint", nullable=False, generated=True, identity=True),
        Column(name="owner", type="uuid"),
        Column(name="title", type="text", nullable=False, default="'it''s'"),
        Column(name="price", type="numeric(10,2)", default="(1 + 1)"),
        Column(name="done", type="boolean", nullable=False, default="false"),
        Column(name="made", type="timestamp with time zone", default="now()"),
        Column(name="shout", type="text", generated=True),
        Column(name="n", type="smallint"),
    ]


def test_keys_and_indexes_have_postgresqls_names(database: Any) -> None:
    changed(with_schema(database), "create index on todos (lower(title), done) where done")
    table = database.catalogue.table("todos")
    assert table is not None
    assert table.primary_key == ("id",)
    assert table.foreign_keys == (
        ForeignKey("todos_owner_fkey", ("owner",), "auth", "users", ("id",), on_delete="cascade"),
    )
    assert {index.name: index for index in table.indexes} == {
        "todos_pkey": Index("todos_pkey", ("id",), unique=True),
        "todos_owner_title_key": Index("todos_owner_title_key", ("owner", "title"), unique=True),
        "todos_lower_done_idx": Index("todos_lower_done_idx", (None, "done"), partial=True),
    }


def test_names_are_shortened_and_numbered_as_postgresql_does(database: Any, postgresql: Any) -> None:
    script = f"""
    create table {"t" * 40} ({"c" * 40} int unique, {"d" * 10} int unique);
    create table b (a int, b int, unique (a), unique (a, b));
    create index on b (a);
    create index on b (a);
    create index on b ((a + 1), (a + 2));
    """
    changed(database, script)
    postgresql.run(script)
    theirs = {
        row[0]
        for row in postgresql.run("select indexname from pg_indexes where schemaname = current_schema()")
    }
    assert {index.name for table in database.catalogue.tables.values() for index in table.indexes} == theirs


def test_a_views_columns_have_types(database: Any) -> None:
    changed(
        with_schema(database),
        "create view totals as select u.email, count(*), sum(t.price) as total, max(t.made)"
        " from auth.users u join todos t on t.owner = u.id group by u.email",
    )
    view = database.catalogue.table("totals")
    assert view is not None
    assert view.kind == "view"
    assert {name: column.type for name, column in view.columns.items()} == {
        "email": "character varying(50)",
        "count": "bigint",
        "total": "numeric",
        "max": "timestamp with time zone",
    }


def test_functions_have_arguments_defaults_and_results(database: Any) -> None:
    changed(
        with_schema(database),
        "create function owned(who uuid, most int default 5, named text default 'x') returns setof todos"
        " language sql stable security definer as $$ select * from todos where owner = who limit most $$;"
        "create function auth.people() returns table (who uuid, mail varchar(9)) language sql immutable"
        " as $$ select id, email from auth.users $$;"
        "create function auth.forget(uuid) returns void language sql"
        " as $$ delete from auth.users where id = $1 $$;"
        "create function one() returns auth.users language sql as $$ select * from auth.users $$;"
        "create function one(numeric(5,2)) returns numeric language sql as $$ select $1 $$",
    )
    found = {
        key: tuple(
            Function(**{name: getattr(one, name) for name in Function.__struct_fields__}) for one in ones
        )
        for key, ones in database.catalogue.functions.items()
    }
    owned = found["public", "owned"][0]
    assert [argument.default for argument in owned.arguments[:2]] == [None, "5"]
    assert (owned.arguments[2].default or "").removesuffix("::text") == "'x'"
    assert found["auth", "people"] == (
        Function(
            "auth", "people", (), "record", True, (Argument("who", "uuid"), Argument("mail", "character varying")),
            "immutable",
        ),
    )  # fmt: skip
    assert found["auth", "forget"] == (Function("auth", "forget", (Argument(None, "uuid"),), "void"),)
    assert {(one.signature, one.returns) for one in found["public", "one"]} == {
        ("one()", "auth.users"),
        ("one(numeric)", "numeric"),
    }
    assert (owned.returns, owned.returns_set, owned.volatility, owned.security_definer, owned.language) == (
        "todos", True, "stable", True, "sql",
    )  # fmt: skip
    changed(database, "drop function one(), auth.people; drop function owned, auth.forget(uuid)")
    assert set(database.catalogue.functions) == {("public", "one")}


def test_functions_name_the_table_whose_rows_they_take_and_return(database: Any) -> None:
    changed(
        with_schema(database),
        "create function label(todos) returns text language sql immutable as $$ select $1.title $$;"
        "create function theirs(u auth.users) returns setof todos language sql stable rows 1"
        " as $$ select * from todos where owner = u.id $$;"
        "create function several(u auth.users) returns setof todos language sql stable rows 5"
        " as $$ select * from todos where owner = u.id $$;",
    )
    found = database.catalogue.functions
    (label,), (theirs,), (several,) = (found["public", name] for name in ("label", "theirs", "several"))
    assert (label.arguments[0].type, label.returns, label.promises_one) == ("todos", "text", False)
    assert (theirs.arguments[0].type, theirs.returns, theirs.promises_one) == ("auth.users", "todos", True)
    assert (several.returns_set, several.promises_one) == (True, False)


def test_the_same_object_is_returned_until_the_schema_changes(database: Any) -> None:
    before = with_schema(database).catalogue
    with database.transaction() as transaction:
        transaction.execute("insert into auth.users (email) values ('a@b')")
    assert database.catalogue is before
    changed(database, "comment on column todos.title is 'what to do'; comment on table todos is 'things'")
    after = database.catalogue
    assert after is not before
    assert after.version > before.version
    table = after.table("todos")
    assert table is not None
    assert (table.comment, table.columns["title"].comment) == ("things", "what to do")


def test_kernels_own_tables_are_not_in_it(database: Any) -> None:
    assert set(with_schema(database).catalogue.tables) == {("auth", "users"), ("public", "todos")}
    assert database.catalogue.schemas == {"public", "kernel", "auth"}


def test_renames_and_drops_reach_the_references_of_other_tables(database: Any) -> None:
    changed(
        with_schema(database),
        "alter table auth.users rename column id to key; alter table todos drop column price",
    )
    changed(database, "alter table auth.users rename to people")
    table = database.catalogue.table("todos")
    assert table is not None
    assert "price" not in table.columns
    assert (table.foreign_keys[0].referenced_table, table.foreign_keys[0].referenced_columns) == (
        "people",
        ("key",),
    )
    with database.transaction() as transaction:
        transaction.execute("insert into auth.people (email) values ('a@b')")
        transaction.execute("insert into todos (title, owner) select 'x', key from auth.people")
        assert transaction.query("delete from auth.people returning email") == [("a@b",)]
        assert transaction.query("select count(*) from todos") == [(0,)]


def test_another_process_sees_a_change_of_the_schema_soon(make_database: Any, tmp_path: Path) -> None:
    path = tmp_path / "kernel.db"
    one, other = make_database(path), make_database(path)
    with_schema(one)
    assert other.catalogue.table("todos") is not None
    changed(one, "create table more (id int)")
    other.forget_catalogue()  # what a tenth of a second does
    assert other.catalogue.table("more") is not None
    assert other.query("select * from more") == []


def test_names_that_differ_in_quotes_only_are_told_apart_or_refused(database: Any) -> None:
    changed(database, 'create table "Quoted Name" ("a""b" int, "Select" text)')
    with database.transaction() as transaction:
        transaction.execute("insert into \"Quoted Name\" values (1, 'x')")
        assert transaction.query('select "a""b", "Select" from "Quoted Name"') == [(1, "x")]


def test_partitions_are_no_relations_of_their_own(database: Any) -> None:
    with database.schema_transaction() as transaction:
        transaction.script("""
            create table visits (id int, place text) partition by list (place);
            create table visits_home partition of visits for values in ('home');
        """)
    assert database.catalogue.table("visits") is not None
    assert database.catalogue.table("visits_home") is None
    with database.transaction() as transaction:
        transaction.query("insert into visits_home values (1, 'home')")
    assert database.query("select id from visits") == [(1,)]
