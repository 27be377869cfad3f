"""What lint finds in rights that are likely wrong, on both engines, and that what it says mends it."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.schema import SchemaWork
from kernel.identity import Identity
from plugins.database import DatabasePlugin
from plugins.permissions import PermissionsPlugin
from plugins.permissions.lint import findings

ANN = Identity("authenticated", "11111111-1111-1111-1111-111111111111")

SCHEMA = """
create table posts (id bigint primary key, author uuid, team integer, title text);
create table members (id bigint primary key, team integer, who uuid);
grant select, insert, update, delete on posts, members to authenticated;
create index on posts (author); create index on members (team);
alter table posts enable row level security;
alter table members enable row level security;
create policy mine on members for select using (who = (select auth.uid()) and team > 0);
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def kernel(request: pytest.FixtureRequest, make_kernel: Any) -> Any:
    settings = {}
    if request.param == "postgresql":
        settings["database"] = {"url": request.getfixturevalue("postgresql_url")}
    kernel = make_kernel(plugins=[DatabasePlugin, PermissionsPlugin], settings=settings)
    script(kernel, SCHEMA)
    return kernel


def script(kernel: Any, sql: str) -> None:
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(sql)


def found(kernel: Any, word: str = "") -> list[dict[str, Any]]:
    rows = findings(kernel.services[Database], kernel.services[SchemaWork])
    return [row for row in rows if word in row["problem"]]


def test_nothing_is_found_where_nothing_is_wrong(kernel: Any) -> None:
    script(kernel, """
        create policy own on posts using (author = (select auth.uid()));
        create policy team on posts for select
            using (exists (select 1 from members m where m.team = posts.team and m.who = (select auth.uid())));
        create policy read on posts for select using (true);
        create view open with (security_invoker = true) as select id from posts;
        grant select on open to anon;
    """)  # fmt: skip
    assert found(kernel) == []


@pytest.mark.parametrize(
    "condition",
    ["true", "1=1", "title = 'x' or true", "'a' = 'a'", "not false", "(select true)", "true and not (1 = 2)",
     "'t'::boolean", "1 is not null"],
)  # fmt: skip
def test_policies_that_are_always_true_are_found_where_they_let_write(kernel: Any, condition: str) -> None:
    script(
        kernel,
        f"create policy p on posts for update using (author = (select auth.uid())) with check ({condition})",
    )
    assert [row["policy"] for row in found(kernel, "always true")] == ["p"]
    script(kernel, f"drop policy p on posts; create policy p on posts for select using ({condition})")
    assert found(kernel, "always true") == []


@pytest.mark.parametrize(
    ("condition", "same"),
    [
        ("auth.uid() is not null", True),
        ("(select auth.role()) = 'authenticated'", True),
        ("exists (select 1 from members where who = (select auth.uid()))", True),
        ("author = (select auth.uid())", False),
        ("exists (select 1 from members m where m.team = posts.team)", False),
        ("title = 'x' and true", False),
    ],
)
def test_a_write_that_is_the_same_for_every_row_is_found(kernel: Any, condition: str, same: bool) -> None:
    script(kernel, f"create policy p on posts for delete using ({condition})")
    assert bool(found(kernel, "the same for every row")) == same


@pytest.mark.parametrize(
    "sql",
    [
        "create policy p on posts using (id in (select max(p.id) from posts p))",
        (
            "create policy p on posts for select using (exists (select 1 from members));"
            " create policy q on members for select using (exists (select 1 from posts))"
        ),
        (
            "create view own with (security_invoker = true) as select id from posts;"
            " create policy p on posts for select using (id in (select id from own))"
        ),
        "create policy p on posts using (true) with check ((select count(*) from posts) < 9)",
        (
            "create policy p on posts for insert with check ((select count(*) from posts) < 9);"
            " create policy q on posts for select using (author = (select auth.uid()) or author is null)"
        ),
    ],
)
def test_recursion_that_the_lint_finds_is_what_the_database_refuses(kernel: Any, sql: str) -> None:
    script(kernel, sql)
    assert "p" in {row["policy"] for row in found(kernel, "42P17")}
    with (
        pytest.raises(DatabaseError, match="42P17"),
        kernel.services[Database].transaction(ANN) as transaction,
    ):
        transaction.query("select id from posts")
        transaction.query("insert into posts (id) values (1)")


@pytest.mark.parametrize(
    "sql",
    [
        (
            "create policy p on posts for insert with check ((select count(*) from posts) < 9);"
            " create policy q on posts for select using (true)"
        ),
        (
            "create view own as select id from posts;"
            " create policy p on posts for select using (id in (select id from own))"
        ),
        (
            "create policy p on posts for select to anon using (exists (select 1 from members));"
            " create policy q on members for select to authenticated using (exists (select 1 from posts));"
            " drop policy mine on members; create policy r on posts for select to authenticated using (true)"
        ),
        "create policy p on posts for select using (exists (with posts as (select 1) select 1 from posts))",
        "create policy p on posts for select using (exists (select 1 from members where who = (select auth.uid())))",
    ],
)
def test_what_only_looks_like_recursion_is_not_told(kernel: Any, sql: str) -> None:
    script(kernel, sql)
    if "create view own" in sql:
        script(kernel, "grant select on own to authenticated")
    assert found(kernel, "42P17") == []
    kernel.services[Database].query("select id from posts", identity=ANN)


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("team = 1", ["team"]),
        ("team = 1 and author = (select auth.uid())", []),
        ("team = 1 or author = (select auth.uid())", ["team"]),
        ("exists (select 1 from members m where m.who = (select auth.uid()))", ["who"]),
        ("team in (1, 2)", ["team"]),
        ("team = any (array[1, 2])", ["team"]),
        ("team = id", []),
        ("title like 'a%'", []),
        ("id in (select m.id from members m join posts q on q.id = m.id where m.who = auth.uid())",
         ["who"]),
    ],
)  # fmt: skip
def test_columns_that_policies_compare_want_an_index(kernel: Any, condition: str, columns: list[str]) -> None:
    script(kernel, f"create policy p on posts for select to anon using ({condition})")
    rows = found(kernel, "index")
    assert [row["problem"].partition("column ")[2].split()[0].strip(",") for row in rows] == columns
    script(kernel, "".join(row["statement"] for row in rows))
    assert found(kernel, "index") == []


def test_calls_that_ask_who_is_there_are_lifted_on_postgresql(kernel: Any) -> None:
    script(kernel, """
        create policy p on posts for select using (
            author = auth.uid() or (team = (auth.jwt() ->> 'team')::integer and title <> current_setting('a.b', true))
        )
    """)  # fmt: skip
    rows = found(kernel, "once for every row")
    if kernel.services[Database].engine == "sqlite":
        assert rows == []
        return
    ((statement,),) = ([row["statement"]] for row in rows)
    assert statement.count("(select ") == 3
    script(kernel, statement)
    assert found(kernel, "once for every row") == []


def test_tables_and_views_that_are_open_are_found_and_what_is_said_mends_it(kernel: Any) -> None:
    script(kernel, """
        create policy own on posts using (author = (select auth.uid()));
        create table open (id bigint primary key); grant select on open to anon;
        create view titles as select id, title from posts; grant select on titles to anon;
        create table "Empty" (id bigint primary key); alter table "Empty" enable row level security;
        create table odd (id bigint primary key); create policy p on odd for select using (true);
        create table narrow (id bigint primary key); alter table narrow enable row level security;
        create policy p on narrow as restrictive for select using (id > 1);
    """)  # fmt: skip
    rows = {row["table"]: row for row in found(kernel)}
    assert {name: row["problem"].split(":")[0].split(";")[0] for name, row in rows.items()} == {
        "public.Empty": "row security is on and there is no policy",
        "public.narrow": "row security is on and there is no permissive policy",
        "public.odd": "has policies, but row security is off, so that none of them counts",
        "public.open": "open to anon without row security",
        "public.titles": "open to anon, and reads with its owner's rights",
    }
    for row in rows.values():
        mended = row["statement"].replace("(...)", "(id > 0)").replace("as ...", "as select id from posts")
        script(kernel, mended)
    assert found(kernel, "row security is on") == [
        row for row in found(kernel) if row["table"] == "public.open"
    ]


@pytest.mark.parametrize(
    "sql",
    [
        (
            "create function seen(t integer) returns boolean language sql stable"
            " as 'select exists (select 1 from posts where team = t)';"
            " create policy p on posts for select using (seen(team))"
        ),
        (
            "create function inner_one() returns bigint language sql stable as 'select count(*) from posts';"
            " create function outer_one() returns bigint language sql stable as 'select inner_one()';"
            " create policy p on posts for select using (outer_one() > 0)"
        ),
    ],
)
def test_recursion_through_a_function_is_found(kernel: Any, sql: str) -> None:
    script(kernel, f"insert into posts (id, team) values (1, 1); {sql}")
    assert "p" in {row["policy"] for row in found(kernel, "would never end")}
    with (
        pytest.raises(DatabaseError, match=r"42P17|54001"),
        kernel.services[Database].transaction(ANN) as transaction,
    ):
        transaction.query("select id from posts")


def test_a_function_with_its_owners_rights_ends_recursion(kernel: Any) -> None:
    script(
        kernel,
        "create function teams_of(person uuid) returns setof integer language sql stable security definer"
        " as 'select team from members where who = person';"
        "create policy p on members for select using (team in (select teams_of((select auth.uid()))))"
        if kernel.services[Database].engine == "postgresql"
        else "create function is_of(t integer) returns boolean language sql stable security definer"
        " as 'select exists (select 1 from members where team = t and who = auth.uid())';"
        "create policy p on members for select using (is_of(team))",
    )
    assert found(kernel, "would never end") == []
    assert found(kernel, "with its owner's rights") == []
    with kernel.services[Database].transaction(ANN) as transaction:
        assert transaction.query("select id from members") == []


OPEN = "create function {} returns bigint language sql stable {} as 'select count(*) from {}';"


@pytest.mark.parametrize(
    ("sql", "is_found"),
    [
        (OPEN.format("counted()", "security definer", "posts"), True),
        (OPEN.format("counted()", "", "posts"), False),
        (
            OPEN.format("below()", "", "posts")
            + "create function counted() returns bigint language sql stable security definer"
            " as 'select below()'",
            True,
        ),
        (
            "create view brief with (security_invoker = true) as select id from posts;"
            + OPEN.format("counted()", "security definer", "brief"),
            True,
        ),
        (OPEN.format("counted()", "security definer", "posts where author = auth.uid()"), False),
        (
            OPEN.format("counted()", "security definer", "posts")
            + "create policy p on members using (counted() > team)",
            False,
        ),
        (
            OPEN.format("counted()", "security definer", "posts")
            + "revoke execute on function counted() from public",
            False,
        ),
        ("create table plain (id int);" + OPEN.format("counted()", "security definer", "plain"), False),
        (
            ("create function counted() returns bigint language sql stable security definer"
            " begin atomic; select count(*) from posts; end"),
            True,
        ),
        (("create function counted() returns bigint language sql stable security definer"
         " return (select count(*) from posts)"), True),
    ],
)  # fmt: skip
def test_a_function_that_shows_what_policies_hide_is_found_and_what_is_said_mends_it(
    kernel: Any, sql: str, is_found: bool
) -> None:
    script(kernel, sql)
    rows = found(kernel, "with its owner's rights: no policy concerns them")
    assert [row["table"] for row in rows] == (["public.counted()"] if is_found else [])
    for row in rows:
        assert "public.posts" in row["problem"]
        with kernel.services[Database].transaction(ANN) as transaction:
            assert transaction.query("select counted()") == [(0,)]
        script(kernel, row["statement"])
        with (
            pytest.raises(DatabaseError, match="42501"),
            kernel.services[Database].transaction(ANN) as transaction,
        ):
            transaction.query("select counted()")
    assert found(kernel, "with its owner's rights: no policy concerns them") == []
