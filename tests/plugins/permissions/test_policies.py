"""Whether a caller may do something, and why; the command and the test kit that say so."""

from __future__ import annotations

import json
from typing import Any

import click.shell_completion
import click.testing
import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Policies
from kernel.identity import Identity
from kernel.testing.rights import as_anon, as_user
from plugins.database import DatabasePlugin
from plugins.permissions import PermissionsPlugin
from plugins.permissions.commands import policies_group

ANN_ID, BOB_ID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ANN, BOB = Identity("authenticated", ANN_ID), Identity("authenticated", BOB_ID)

SCHEMA = f"""
create table posts (id bigint primary key, author uuid, title text);
create table logs (id bigint primary key);
create table open (id bigint primary key);
grant select, update, delete, insert on posts to authenticated;
grant select on open to anon;
alter table posts enable row level security;
alter table logs enable row level security;
create policy own on posts using (author = auth.uid());
create policy named on posts as restrictive for update using (title is not null);
insert into posts values (1, '{ANN_ID}', 'a'), (2, '{ANN_ID}', null);
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def kernel(request: pytest.FixtureRequest, make_kernel: Any) -> Any:
    settings = {}
    if request.param == "postgresql":
        settings["database"] = {"url": request.getfixturevalue("postgresql_url")}
    kernel = make_kernel(plugins=[DatabasePlugin, PermissionsPlugin], settings=settings)
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(SCHEMA)
    return kernel


@pytest.fixture
def policies(kernel: Any) -> Policies:
    provided: Policies = kernel.services[Policies]
    return provided


@pytest.mark.parametrize(
    ("identity", "command", "table", "options", "allowed", "reason"),
    [
        (ANN, "select", "posts", {"key": {"id": 1}}, True, 'the policy "own" lets the row through'),
        (BOB, "select", "posts", {"key": {"id": 1}}, False, "no policy lets the row through"),
        (ANN, "update", "posts", {"key": {"id": 2}}, False, 'the restrictive policy "named" does not hold'),
        (ANN, "insert", "posts", {"row": {"id": 9, "author": ANN_ID}}, True, 'the policy "own" lets the row through'),
        (ANN, "insert", "posts", {"row": {"id": 9, "author": BOB_ID}}, False, "no policy lets the row through"),
        (ANN, "select", "logs", {}, False, "nothing grants select on public.logs to authenticated"),
        (None, "select", "open", {}, True, "select is granted to anon"),
        (None, "delete", "open", {}, False, "nothing grants delete on public.open to anon"),
        (Identity("service_role"), "delete", "logs", {}, True, "the role service_role is without bounds"),
        (Identity("nobody"), "select", "open", {}, False, "the role nobody does not exist"),
    ],
)  # fmt: skip
def test_a_decision_says_what_decided_it(
    policies: Policies, identity: Any, command: Any, table: str, options: Any, allowed: bool, reason: str
) -> None:
    decision = policies.explain(identity, command, table, **options)
    assert (decision.allowed, decision.reason) == (allowed, reason)
    assert policies.allows(identity, command, table, **options) == allowed


@pytest.mark.parametrize(
    ("table", "key", "sqlstate"),
    [("nowhere", None, "42P01"), ("posts", {"id": 77}, "02000"), ("posts", {"x": 1}, "42703")],
)
def test_a_table_or_row_that_is_not_there(policies: Policies, table: str, key: Any, sqlstate: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        policies.explain(ANN, "select", table, key=key)
    assert caught.value.sqlstate == sqlstate


def test_callers_try_things_and_nothing_of_it_stays(kernel: Any) -> None:
    ann, anon = as_user(kernel, ANN_ID), as_anon(kernel)
    ann.can_select("posts", id=1)
    as_user(kernel, BOB_ID).cannot_select("posts", id=1)
    ann.can_insert("posts", {"id": 9, "author": ANN_ID})
    ann.cannot_insert("posts", {"id": 9, "author": BOB_ID})
    anon.cannot_insert("posts", {"id": 9})
    ann.can_update("posts", {"title": "b"}, id=1)
    ann.cannot_update("posts", {"title": "b"}, id=2)
    ann.can_delete("posts", id=2)
    anon.cannot_delete("posts", id=2)
    with pytest.raises(AssertionError):
        anon.can_select("posts")
    with pytest.raises(AssertionError):
        ann.cannot_select("posts")
    assert kernel.services[Database].query("select count(*) from posts") == [(2,)]


def run(kernel: Any, *arguments: str) -> tuple[int, Any]:
    """Run a command as into a pipe: JSON."""
    result = click.testing.CliRunner().invoke(policies_group(kernel.plugins["permissions"]), arguments)
    try:
        return result.exit_code, json.loads(result.output)
    except ValueError:
        return result.exit_code, f"{result.output}{result.exception!r}"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["explain", "select", "po"], ["posts"]),
        (["explain", "select", "posts", "--role", "au"], ["authenticated"]),
        (["explain", "select", "nothing_of_that_name"], []),
    ],
)
def test_a_shell_completes_tables_and_roles(kernel: Any, words: list[str], offered: list[str]) -> None:
    command = policies_group(kernel.plugins["permissions"])
    shell = click.shell_completion.ShellComplete(command, {}, "kernel", "_KERNEL_COMPLETE")
    assert [item.value for item in shell.get_completions(words[:-1], words[-1])] == offered


def test_the_command_lists_grants_and_policies(kernel: Any) -> None:
    code, rows = run(kernel, "list")
    assert code == 0
    posts = [row for row in rows if row["table"] == "public.posts"]
    granted = next(row for row in posts if row["right"] == "grant" and row["roles"] == ["authenticated"])
    assert set(granted["detail"].split(", ")) == {"select", "insert", "update", "delete"}
    named = next(row for row in posts if row.get("policy") == "named")
    assert (named["command"], named["permissive"], named["roles"]) == ("update", False, ["public"])
    assert named["detail"].startswith("named: restrictive for update to public using")


@pytest.mark.parametrize(
    ("arguments", "allowed", "verdicts"),
    [
        ("select posts --user ANN --row id=1", True, [("own", "select", "there", True)]),
        ("select posts --user BOB --row id=1", False, [("own", "select", "there", False)]),
        ("insert posts --user ANN --row id=9 --row author=ANN", True, [("own", "insert", "new", True)]),
        ("insert posts --user ANN --row id=9 --row author", False, [("own", "insert", "new", False)]),
        (
            "update posts --user ANN --row id=1 --set author=BOB",
            False,
            [("named", "update", "there", True), ("own", "update", "there", True), ("own", "select", "there", True),
             ("named", "update", "new", True), ("own", "update", "new", False), ("own", "select", "new", False)],
        ),
        ("delete posts --user ANN --row id=2", True,
         [("own", "delete", "there", True), ("own", "select", "there", True)]),
        ("select posts --user ANN", True, [("own", "select", "there", None)]),
        ("select logs --role anon", False, []),
    ],
)  # fmt: skip
def test_the_command_explains(kernel: Any, arguments: str, allowed: bool, verdicts: list[Any]) -> None:
    code, told = run(kernel, "explain", *arguments.replace("ANN", ANN_ID).replace("BOB", BOB_ID).split())
    assert (code, told["allowed"]) == (0 if allowed else 1, allowed), told
    assert [(one["policy"], one["command"], one["row"], one["holds"]) for one in told["verdicts"]] == verdicts


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("select post", "there is no table 'post'; did you mean 'posts'?; see: kernel policies list"),
        ("select posts --row id=77", "posts has no row with this key"),
        ("select posts --row x=1", "kernel policies list"),
        ("select posts --row =1", "is not COLUMN=VALUE"),
        ("update posts --set title=x", "say by --row which row --set would change, like: --row id=1"),
        ("select posts --set title=x", "--set is for an update"),
    ],
)
def test_what_the_command_cannot_explain_it_says_with_what_to_type(
    kernel: Any, arguments: str, said: str
) -> None:
    code, output = run(kernel, "explain", *arguments.split())
    assert code != 0
    assert said in output


def test_a_column_that_is_not_granted_is_named(kernel: Any, policies: Policies) -> None:
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script("grant select (id, title), update (title) on posts to anon")
    for command, options, reason in [
        ("select", {"key": {"author": ANN_ID}}, "nothing grants select on the column author of public.posts to anon"),
        ("update", {"key": {"id": 1}, "row": {"author": None}},
         "nothing grants update on the column author of public.posts to anon"),
        ("update", {}, "update is granted on the columns title; policies decide on each row"),
    ]:  # fmt: skip
        assert policies.explain(None, command, "posts", **options).reason == reason
