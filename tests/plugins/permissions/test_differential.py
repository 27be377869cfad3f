"""Row security on SQLite is PostgreSQL's: generated rights, rows and statements have the same outcome on both."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError
from kernel.identity import Identity
from plugins.database.schema_work.expressions import expression
from plugins.permissions.decisions import TablePolicies

A, B = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
CHIEF = f"chief_{uuid.uuid4().hex[:8]}"
"""A role of this run's own, which has the rights of authenticated as well."""

CALLERS = (
    Identity(CHIEF, B, {"team": 1}),
    Identity("authenticated", A, {"team": 1}),
    Identity("authenticated", B, {"team": 2}),
    Identity("authenticated"),
    Identity("anon"),
)

SCHEMA = f"""
drop function if exists mine(); drop function if exists total();
drop table if exists posts, members, notes cascade;
create table posts (
    id bigint primary key, author uuid default auth.uid(), team integer, title text unique, score integer default 0
);
create table members (team integer, who uuid);
create view seen as select id, title, team from posts where team is not null;
create view asked with (security_invoker = true) as select p.id, m.who from posts p join members m on m.team = p.team;
create table notes (id bigint primary key, post bigint references posts on delete cascade on update cascade);
create view seen_twice with (security_invoker = true) as select id, title from seen where id < 9;
create function mine() returns setof posts language sql stable as $$ select * from posts where team = 1 $$;
create function total() returns bigint language sql stable security definer as $$ select count(*) from posts $$;
insert into posts values (1, '{A}', 1, 'a', 5), (2, '{B}', 1, 'b', null), (3, '{A}', 2, 'ab', 0),
    (4, null, null, 'c', -1);
insert into members values (1, '{A}'), (1, '{B}'), (2, '{B}'), (3, null);
insert into notes values (1, 1), (2, 2), (3, 3), (4, null);
"""

ATOMS = [
    "true", "false", "null", "author = auth.uid()", "team = 1", "score > 0", "title like 'a%'", "id > 2",
    "score is null", "author is not distinct from auth.uid()", "auth.role() = 'authenticated'",
    "current_user = 'anon'", "(auth.jwt() ->> 'team')::int = team", "team in (1, 2)",
    "exists (select 1 from members m where m.team = posts.team and m.who = auth.uid())",
    "team in (select team from members where who = auth.uid())", "(select count(*) from members) > 1",
    "(current_setting('request.jwt.claims', true)::json ->> 'sub') = author::text", "coalesce(score, 0) >= 0",
    "exists (select 1 from posts p where p.author = auth.uid())", "id = (select max(id) from seen)",
]  # fmt: skip
MEMBER_ATOMS = [
    "true", "who = auth.uid()", "team = 1", "team < 3 or who is null",
    "exists (select 1 from posts where posts.team = members.team and score > 0)",
]  # fmt: skip
NOTE_ATOMS = ["true", "id > 1", "post is null", "exists (select 1 from posts where posts.id = notes.post)"]
PRIVILEGES = ["select", "insert", "update", "delete", "select (id, title)", "select (team), update (title)",
              "insert (id, title)", "update (score, team)", "select (id, team), update (team), delete"]  # fmt: skip

STATEMENTS = (Path(__file__).parent / "statements.sql").read_text().strip().removesuffix(";").split(";\n")


@pytest.fixture(scope="module", autouse=True)
def chief(engines: Any) -> Iterator[None]:
    """Make the role in both databases."""
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(
                f"create role {CHIEF}; grant authenticated to {CHIEF}; grant usage on schema public to {CHIEF};"
            )
    yield
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(
                "drop function mine(); drop function total(); drop table posts, members, notes cascade;"
                f"revoke usage on schema public from {CHIEF}; drop role {CHIEF};"
            )


@st.composite
def expressions(draw: st.DrawFn, atoms: list[str]) -> str:
    one = draw(st.sampled_from(atoms))
    kind = draw(st.sampled_from(["plain", "plain", "and", "or", "not"]))
    if kind == "plain":
        return one
    if kind == "not":
        return f"not ({one})"
    return f"({one}) {kind} ({draw(st.sampled_from(atoms))})"


@st.composite
def policies(draw: st.DrawFn, table: str, atoms: list[str]) -> list[str]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        command = draw(st.sampled_from(["all", "all", "select", "insert", "update", "delete"]))
        kind = draw(st.sampled_from(["permissive", "permissive", "permissive", "restrictive"]))
        role = draw(st.sampled_from(["public", "authenticated", "anon", "authenticated, anon", CHIEF]))
        using = f" using ({draw(expressions(atoms))})" if command != "insert" else ""
        with_check = command not in ("select", "delete") and (command == "insert" or draw(st.booleans()))
        check = f" with check ({draw(expressions(atoms))})" if with_check else ""
        found.append(f"create policy p{number} on {table} as {kind} for {command} to {role}{using}{check};")
    return found


@st.composite
def setups(draw: st.DrawFn) -> str:
    lines = [
        "grant select on seen, asked, seen_twice to authenticated;",
        f"grant delete on notes to {CHIEF};",
    ]
    lines += ["grant select, insert, update on notes to authenticated;"] * draw(st.integers(0, 1))
    for role in ("authenticated", "anon"):
        if draw(st.integers(0, 4)):
            lines.append(f"grant select, insert, update, delete on posts, members to {role};")
        else:
            listed = draw(st.lists(st.sampled_from(PRIVILEGES), max_size=3))
            lines += [f"grant {privilege} on posts to {role};" for privilege in listed]
            lines += [f"grant select on members to {role};"] * draw(st.integers(0, 1))
    lines += draw(policies("posts", ATOMS))
    lines.append("alter table posts enable row level security;")
    if draw(st.booleans()):
        lines += draw(policies("notes", NOTE_ATOMS))
        lines.append("alter table notes enable row level security;")
    if draw(st.booleans()):
        lines += draw(policies("members", MEMBER_ATOMS))
        lines.append("alter table members enable row level security;")
    return "\n".join(lines)


def reads(statement: str) -> bool:
    """Tell whether a statement only reads."""
    return re.search(r"\b(insert|update|delete)\b", statement) is None


class Undone(Exception):
    """Rolls a transaction back."""


def outcome(database: Any, caller: Identity, statement: str) -> Any:
    """Return what a statement answers and leaves behind, or how it is refused; nothing of it stays."""
    found: Any = None
    try:
        if reads(statement):
            return sorted(map(repr, database.query(statement, identity=caller)))
        with database.transaction(caller) as transaction:
            found = sorted(map(repr, transaction.query(statement)))
            raise Undone
    except Undone:
        return found
    except DatabaseError as error:
        # Which of several missing grants, or of the tables of a ring, is named first is another matter.
        if error.sqlstate == "42501" and not error.message.startswith("permission denied"):
            return error.sqlstate, error.message
        return error.sqlstate


def left_behind(database: Any, caller: Identity, statement: str) -> Any:
    """Return the rows that are there after a statement of a caller's, and put the old ones back."""
    try:
        with database.transaction(caller) as transaction:
            transaction.query(statement)
    except DatabaseError as error:
        return error.sqlstate
    rows = sorted(map(repr, database.query("select * from posts")))
    rows += sorted(map(repr, database.query("select * from members")))
    rows += sorted(map(repr, database.query("select * from notes")))
    with database.transaction() as transaction:
        transaction.script(
            "delete from notes; delete from posts; delete from members;"
            + SCHEMA[SCHEMA.index("insert into posts") :]
        )
    return rows


def looks_at_all_rows_first(statement: str, ours: Any, theirs: Any) -> bool:
    """Tell whether one of several rows was refused by a policy here, and another one, before it, by a key there.

    SQLite gathers the rows of an INSERT that reads its own table, and the policies have looked at all of them before
    the first is written.
    """
    return (
        re.match(r"insert into \w+ .*\bselect\b", statement) is not None
        and ours[:1] == ("42501",)
        and theirs == "23505"
    )


def compare(engines: Any, setup: str, statements: list[str]) -> None:
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA + setup)
    for statement in statements:
        for caller in CALLERS:
            ours, theirs = (outcome(database, caller, statement) for database in engines)
            if looks_at_all_rows_first(statement, ours, theirs):
                continue
            assert ours == theirs, f"{caller}: {statement}\n{setup}"
            if not reads(statement) and isinstance(theirs, list):
                ours, theirs = (left_behind(database, caller, statement) for database in engines)
                assert ours == theirs, f"{caller}: {statement}\n{setup}"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(setup=setups(), statements=st.lists(st.sampled_from(STATEMENTS), min_size=4, max_size=6, unique=True))
def test_generated_rights_have_the_same_outcome_on_both_engines(
    engines: Any, setup: str, statements: list[str]
) -> None:
    compare(engines, setup, statements)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(setup=setups(), statements=st.lists(st.sampled_from(STATEMENTS), min_size=6, max_size=12, unique=True))
def test_many_generated_rights_have_the_same_outcome(engines: Any, setup: str, statements: list[str]) -> None:
    compare(engines, setup, statements)


def test_every_statement_has_the_same_outcome_under_plain_policies(engines: Any) -> None:
    setup = """
        grant select, insert, update, delete on posts, members to authenticated;
        grant select (id, title) on posts to anon;
        alter table posts enable row level security;
        create policy own on posts using (author = auth.uid());
        create policy shared on posts for select to authenticated
            using (exists (select 1 from members m where m.team = posts.team and m.who = auth.uid()));
        create policy sane on posts as restrictive with check (score is null or score < 100);
    """
    compare(engines, setup, STATEMENTS)


def test_the_first_of_several_refusals_is_told_as_on_postgresql(engines: Any) -> None:
    setup = """
        grant select, insert, update on posts, members to anon;
        create policy p0 on posts using (true) with check (false);
        create policy p1 on posts as restrictive using (false);
        create policy p2 on posts for insert with check (exists (select 1 from members where who = auth.uid()));
        alter table posts enable row level security;
    """
    compare(engines, setup, ["insert into posts (id, title) values (1, 'z') on conflict (id) do nothing"])


ASKED: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    *(("select", {"id": row}, {}) for row in (1, 2, 4)),
    *(("delete", {"id": row}, {}) for row in (1, 3)),
    *(("update", {"id": row}, new) for row in (1, 2, 3) for new in ({"score": 3}, {"team": 2, "author": B})),
    *(
        ("insert", {}, {"id": 9, "title": "new", **more})
        for more in ({}, {"team": 1, "author": A}, {"score": None})
    ),
]


def decided(database: Any, caller: Identity, command: Any, key: dict[str, Any], new: dict[str, Any]) -> Any:
    """Return whether the policies allow something; a right that a policy itself lacks is no."""
    try:
        return (
            TablePolicies(database, partial(always, database))
            .explain(caller, command, "posts", key=key or None, row=new or None)
            .allowed
        )
    except DatabaseError as error:
        return False if error.sqlstate == "42501" else error.sqlstate


def done(database: Any, caller: Identity, command: Any, key: dict[str, Any], new: dict[str, Any]) -> Any:
    """Return whether the statement does it."""
    where = " and ".join(f"{name} = {value}" for name, value in key.items())
    values = {
        name: f"'{value}'" if isinstance(value, str) else value or "null" for name, value in new.items()
    }
    statement = {
        "select": f"select {', '.join(key)} from posts where {where}",
        "delete": f"delete from posts where {where}",
        "update": f"update posts set {', '.join(f'{name} = {value}' for name, value in values.items())} where {where}",
        "insert": f"insert into posts ({', '.join(values)}) values ({', '.join(map(str, values.values()))})",
    }[command]
    found = 0
    try:
        with database.transaction(caller) as transaction:
            found = transaction.execute(statement)
            raise Undone
    except Undone:
        return found > 0
    except DatabaseError as error:
        return False if error.sqlstate == "42501" else error.sqlstate


def always(database: Any, condition: str, table: Table) -> bool | None:
    return expression(condition, table, database.catalogue).value


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(setup=setups(), asked=st.lists(st.sampled_from(ASKED), min_size=3, max_size=5))
def test_a_decision_is_what_a_statement_does(engines: Any, setup: str, asked: list[Any]) -> None:
    agree(engines, setup, asked)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(setup=setups(), asked=st.lists(st.sampled_from(ASKED), min_size=5, max_size=len(ASKED)))
def test_many_decisions_are_what_statements_do(engines: Any, setup: str, asked: list[Any]) -> None:
    agree(engines, setup, asked)


def test_policies_look_at_all_rows_of_an_insert_that_reads_its_own_table_before_the_first_is_written(
    engines: Any,
) -> None:
    setup = f"""
        grant select, insert on posts, members to authenticated;
        create policy p0 on posts for select using (true);
        create policy p1 on posts for insert with check (team = 1);
        create policy p2 on members using (team > 0 or exists (select 1 from posts));
        alter table posts enable row level security; alter table members enable row level security;
        insert into members values (5, '{A}');
    """
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA + setup)
    statement = "insert into posts (id, team) select team + 20, team from members where who is not null"
    ours, theirs = (outcome(database, CALLERS[1], statement) for database in engines)
    assert (ours[0], theirs) == ("42501", "23505")
    assert looks_at_all_rows_first(statement, ours, theirs)


def test_a_decision_does_not_take_a_rows_values_for_constants(engines: Any) -> None:
    setup = """
        grant select on posts, members to anon;
        create policy p0 on posts using (team = 1 or id = (select max(id) from seen));
        alter table posts enable row level security;
    """
    agree(engines, setup, [("select", {"id": 1}, {})])


def agree(engines: Any, setup: str, asked: list[Any]) -> None:
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA + setup)
        for command, key, new in asked:
            for caller in CALLERS:
                outcome = done(database, caller, command, key, new)
                if outcome == "42P17":  # policies that never end are lint's to find
                    continue
                told = decided(database, caller, command, key, new)
                assert told == outcome, f"{database.engine} {caller}: {command} {key} {new}\n{setup}"
