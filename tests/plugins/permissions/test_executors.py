"""Who may call a function: the same on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from kernel.identity import Identity

SCHEMA = """
create table books (id int primary key, title text);
insert into books values (1, 'a'), (2, 'b');
grant select, insert on books to anon, authenticated;
create function one() returns int language sql as 'select 1';
create function twice(x int) returns int language sql immutable as 'select x * 2';
create function titles() returns setof text language sql stable as 'select title from books';
create function add(x int) returns int language sql as 'insert into books values (x, null) returning id';
create function counted() returns bigint language sql stable security definer as 'select count(*) + one() from books';
create function through() returns int language sql stable as 'select one() + 1';
create view doubled as select twice(id) as two from books;
create view doubled_as_reader with (security_invoker = true) as select twice(id) as two from books;
grant select on doubled, doubled_as_reader to anon, authenticated;
"""
FUNCTIONS = ("one()", "twice(int)", "titles()", "add(int)", "counted()", "through()")
CLEAN = (
    "drop view if exists doubled, doubled_as_reader; drop table if exists books cascade; "
    + "; ".join(f"drop function if exists {one}" for one in (*reversed(FUNCTIONS), "late()"))
    + "; alter default privileges grant execute on functions to public;"
    "alter default privileges revoke execute on functions from anon;"
    "alter default privileges in schema public revoke execute on functions from anon;"
)
STATEMENTS = (
    "select one()",
    "select twice(id) from books",
    "select * from titles()",
    "select x.titles from titles() as x(titles)",
    "select add(7)",
    "select counted()",
    "select through()",
    "select * from doubled",
    "select * from doubled_as_reader",
    "select id from books where twice(id) = 2",
)
CALLERS = (Identity("anon"), Identity("authenticated"), Identity("service_role"))


@pytest.fixture
def functions(engines: Any) -> Iterator[Any]:
    """Both engines with the functions."""
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(CLEAN + SCHEMA)
    yield engines
    for database in engines:
        with database.schema_transaction() as transaction:
            transaction.script(CLEAN)


def outcomes(database: Any, statements: tuple[str, ...] = STATEMENTS) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for caller in CALLERS:
        for statement in statements:
            try:
                with database.transaction(caller) as transaction:
                    found[f"{caller.role}: {statement}"] = sorted(transaction.query(statement))
                    raise Undone
            except Undone:
                pass
            except DatabaseError as error:
                found[f"{caller.role}: {statement}"] = error.sqlstate, error.message
    return found


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.mark.parametrize(
    "rights",
    [
        "select 1",
        "revoke execute on function one() from public",
        "revoke execute on function twice(int) from public; grant execute on function twice to authenticated",
        "revoke all on function titles() from public, anon; revoke all on function add from public",
        "revoke execute on all functions in schema public from public; grant all on routine one() to anon",
        "revoke execute on function counted() from public; grant execute on function counted() to anon",
        "revoke execute on function one() from anon",
        "revoke execute on function one(), through() from public; grant execute on function one() to authenticated",
    ],
)
def test_a_function_is_called_by_whom_it_is_granted_to(functions: Any, rights: str) -> None:
    for database in functions:
        with database.schema_transaction() as transaction:
            transaction.script(rights)
    ours, theirs = (outcomes(database) for database in functions)
    assert ours == theirs
    assert executors(functions[0]) == executors(functions[1])


def executors(database: Any) -> dict[str, frozenset[str]]:
    return {
        one.signature: one.executors
        for (schema, _), overloads in database.catalogue.functions.items()
        for one in overloads
        if schema == "public"
    }


def test_a_policy_calls_functions_with_its_readers_rights(functions: Any) -> None:
    for database in functions:
        with database.schema_transaction() as transaction:
            transaction.script(
                "revoke execute on function twice(int) from public; grant execute on function twice to anon;"
                "create policy p on books using (twice(id) > 2); alter table books enable row level security;"
            )
    ours, theirs = (outcomes(database, ("select id from books",)) for database in functions)
    assert ours == theirs
    assert ours["anon: select id from books"] == [(2,)]
    assert ours["authenticated: select id from books"][0] == "42501"


@pytest.mark.parametrize(
    "rights",
    [
        "alter default privileges revoke execute on functions from public",
        (
            "alter default privileges revoke execute on functions from public;"
            " alter default privileges in schema public grant execute on functions to anon"
        ),
        (
            "alter default privileges revoke execute on functions from public;"
            " alter default privileges grant execute on functions to anon"
        ),
        "alter default privileges in schema public revoke execute on functions from public",
        (
            "alter default privileges revoke execute on functions from public;"
            " alter default privileges grant execute on functions to public"
        ),
    ],
)
def test_a_new_function_comes_with_the_default_privileges(functions: Any, rights: str) -> None:
    for database in functions:
        with database.schema_transaction() as transaction:
            transaction.script(f"{rights}; create function late() returns int language sql as 'select 5'")
    ours, theirs = (outcomes(database, ("select late()",)) for database in functions)
    assert ours == theirs
    assert executors(functions[0])["late()"] == executors(functions[1])["late()"]


def test_a_function_that_is_replaced_keeps_its_grants(functions: Any) -> None:
    for database in functions:
        with database.schema_transaction() as transaction:
            transaction.script(
                "revoke execute on function one() from public; grant execute on function one() to anon;"
                "create or replace function one() returns int language sql as 'select 2'"
            )
    ours, theirs = (outcomes(database, ("select one()",)) for database in functions)
    assert ours == theirs
    assert ours["anon: select one()"] == [(2,)]
