"""What callers try in order to read or write what is not theirs, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from kernel.identity import Identity

ANN_ID, BOB_ID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ANN = Identity("authenticated", ANN_ID)
ANON = Identity("anon")

SCHEMA = f"""
create table posts (
    id bigint primary key, author uuid default auth.uid(), title text unique, secret text, score integer default 1
);
create table notes (id bigint primary key, post bigint references posts on delete cascade on update cascade);
create view titles with (security_invoker = true) as select id, title from posts;
create function mine() returns setof posts language sql stable as $$ select * from posts $$;
create function everyone() returns bigint language sql stable security definer as
    $$ select count(*) from posts $$;
grant select, insert, update, delete on posts, notes to authenticated;
grant select on titles to authenticated, anon;
alter table posts enable row level security;
create policy own on posts to authenticated using (author = auth.uid());
insert into posts values (1, '{ANN_ID}', 'hers', '1', 1), (2, '{BOB_ID}', 'his', 'x', 0);
insert into notes values (1, 1), (2, 2);
"""

ESCAPES = [
    "select set_config('role', 'service_role', true)",
    "select set_config('role', 'none', false)",
    "select pg_catalog.set_config('request.jwt.claims', '{\"sub\": \"" + BOB_ID + "\"}', true)",
    "select \"set_config\"('role', 'service_role', true)",
    "select 1 from (select U&\"set\\005fconfig\"('role', 'service_role', true)) q",
    "select * from set_config('role', 'service_role', true)",
    "select id from posts where set_config('role', 'service_role', true) is not null",
    "with q as (select set_config('role', 'service_role', true)) select * from q, posts",
    "update posts set title = set_config('role', 'service_role', true) returning title",
    "select query_to_xml('select set_config(''role'', ''service_role'', true)', true, true, '')",
    "select * from ts_stat('select set_config(''role'', ''service_role'', true)::tsvector')",
    "set role service_role",
    "set session authorization default",
    "set local role service_role",
    "set local request.jwt.claims = '{}'",
    "reset role",
    "reset all",
    "discard all",
    "begin",
    "commit",
    "rollback",
    "do $$ begin set local role service_role; end $$",
    "prepare x as select * from posts",
    "deallocate all",
    "listen changes",
    "select pg_notify('kernel', 'x')",
    "select pg_advisory_lock(118014564787564)",
    "select 1 as id into temporary table posts",
    "select lo_create(0)",
    "explain analyze delete from posts",
    "copy posts to stdout",
    "create temporary table t (id int)",
    "grant service_role to authenticated",
    "lock table posts",
]  # fmt: skip


@pytest.fixture
def posts(database: Any) -> Any:
    with database.schema_transaction() as transaction:
        transaction.script("drop function if exists mine(); drop function if exists everyone(); " + SCHEMA)
    yield database
    with database.schema_transaction() as transaction:
        transaction.script("drop function mine(); drop function everyone(); drop view titles;")


@pytest.mark.parametrize("statement", ESCAPES)
@pytest.mark.parametrize("identity", [ANN, ANON])
def test_no_statement_takes_on_other_rights(posts: Any, statement: str, identity: Identity) -> None:
    for run in (_query, _write):
        error = _refused(run, posts, statement, identity)
        assert error.sqlstate in ("25001", "25006", "42501", "0A000", "42883"), (run.__name__, error)
    assert posts.query("select id from posts", identity=ANN) == [(1,)]
    assert posts.query("select count(*) from posts") == [(2,)]


def _query(database: Any, statement: str, identity: Identity) -> Any:
    return database.query(statement, identity=identity)


def _write(database: Any, statement: str, identity: Identity) -> Any:
    with database.transaction(identity) as transaction:
        return transaction.query(statement)


def _refused(run: Any, database: Any, statement: str, identity: Identity) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        run(database, statement, identity)
    return caught.value


LEAKS = [
    # by an error over a hidden row
    "select id from posts where 1 / score > 0",
    "select id from posts where secret::int > 0",
    "select id from titles where title::int = 1",
    "select id from (select id, secret::int as n from posts) q where n > 0",
    "select count(*) from posts where case when secret = 'x' then 1 / score else 1 end = 1",
    "select p.id from posts p join posts q on q.secret::int = p.score",
    "select id from mine() where secret::int > 0",
    "with q as (select id, 1 / score as n from posts) select id from q where n > 0",
    "select (select max(secret::int) from posts)",
    "update posts set score = 1 where 1 / score > 0 returning id",
    "delete from posts where secret::int = 1 returning id",
    # by what comes back
    "insert into posts (id, title) values (7, 'x') on conflict (title) do nothing returning id, secret",
    "update posts set score = 2 returning id",
    "delete from posts returning id, secret",
    "select id from posts order by secret limit 5",
    "select distinct secret from posts",
    "select id from posts union all select id from mine()",
    "select max(secret) over () from posts",
]  # fmt: skip


@pytest.mark.parametrize("statement", LEAKS)
def test_nothing_tells_of_a_hidden_row(posts: Any, statement: str) -> None:
    """Whatever is in it: neither an error nor a row comes from where the caller may not look."""
    with posts.transaction() as transaction:
        transaction.script("update posts set secret = '7', score = 7 where id = 2")
    calm = _attempt(posts, statement)
    with posts.transaction() as transaction:
        transaction.script(f"delete from posts; {SCHEMA[SCHEMA.index('insert into posts') :]}")
    assert _attempt(posts, statement) == calm
    assert "his" not in calm
    assert BOB_ID not in calm


def _attempt(database: Any, statement: str) -> str:
    try:
        with database.transaction(ANN) as transaction:
            rows = transaction.query(statement)
            raise _Undone(repr(rows))
    except _Undone as undone:
        return str(undone)
    except DatabaseError as error:
        return f"{error.sqlstate} {error.message} {error.detail}"


class _Undone(Exception):
    """Rolls a transaction back, and keeps what it answered."""


@pytest.mark.parametrize(
    "statement",
    [
        f"insert into posts (id, author, title) values (3, '{BOB_ID}', 'his')",
        f"insert into posts (id, author) values (2, '{BOB_ID}')",
        f"insert into posts (id, author, title) select id + 1, '{BOB_ID}', 'his' from posts",
        f"update posts set author = '{BOB_ID}', title = 'his'",
        f"update posts set author = '{BOB_ID}', id = 2",
        "insert into posts (id, title) values (2, 'new') on conflict (id) do update set title = 'mine'",
        "insert into posts (id, title) values (3, 'his') on conflict (title) do update set score = 9 returning secret",
        f"insert into posts (id, author) values (3, '{BOB_ID}') on conflict do nothing",
        f"with q as (select '{BOB_ID}'::uuid as who) insert into posts (id, author) select 3, who from q",
    ],
)
def test_a_refusal_does_not_tell_what_is_hidden(posts: Any, statement: str) -> None:
    """A row that must not be is refused as such, whether or not a hidden one has its key."""
    error = _refused(_write, posts, statement, ANN)
    assert error.sqlstate == "42501"
    assert error.message.startswith("new row violates row-level security policy")
    assert error.detail is None


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("insert into posts (id, title) values (3, 'his')", "23505"),
        ("insert into posts (id, title) values (2, 'new')", "23505"),
        ("update posts set title = 'his' where id = 1", "23505"),
        ("insert into notes (id, post) values (3, 77)", "23503"),
        ("insert into posts (id, title) values (3, null), (null, 'x')", "23502"),
    ],
)
def test_a_violation_is_told_alike_on_both_engines(
    engines: Any, posts: Any, statement: str, sqlstate: str
) -> None:
    """Where row security hides rows, without the values of the key, which may be another's."""
    error = _refused(_write, posts, statement, ANN)
    assert error.sqlstate == sqlstate
    if "posts" in statement:
        assert error.detail is None
