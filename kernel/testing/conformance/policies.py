"""What every `Policies` must do: decide as the database does, and say why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kernel.contracts.catalogue import Command
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Decision, Policies
from kernel.identity import Identity
from kernel.testing.rights import Caller

ANN_ID, BOB_ID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
ANN = Identity("authenticated", ANN_ID, {"team": 1})
BOB = Identity("authenticated", BOB_ID, {"team": 2})
CALLERS = {
    "ann": ANN,
    "bob": BOB,
    "anon": None,
    "service": Identity("service_role"),
    "nobody": Identity("nobody"),
}

SCHEMA = f"""
create table posts (id bigint primary key, author uuid default auth.uid(), team integer, title text default 'new');
create table members (team integer, who uuid);
create table logs (id bigint primary key);
create table open (id bigint primary key, note text);
create table shut (id bigint primary key);
create view titles as select id, title from posts;
grant select, insert, update, delete on posts to authenticated;
grant select (id, title), update (title), delete on posts to anon;
grant select on members, titles to authenticated;
grant select, insert (id), delete on open to anon;
grant select, insert, update, delete on shut to authenticated;
alter table posts enable row level security;
alter table shut enable row level security;
create policy restrictive on shut as restrictive using (true);
create policy own on posts to authenticated using (author = auth.uid());
create policy shared on posts for select to authenticated
    using (exists (select 1 from members m where m.team = posts.team and m.who = auth.uid()));
create policy teams on posts for update to authenticated
    using (team = (auth.jwt() ->> 'team')::integer) with check (title is not null);
create policy titled on posts as restrictive for update using (title <> 'law') with check (title <> 'none');
create policy empty on posts for delete to anon;
create policy even on posts for select to anon using (id % 2 = 0);
create policy corrected on posts for update to anon using (id < 5) with check (title like 'a%');
insert into posts values (1, '{ANN_ID}', 1, 'a'), (2, '{BOB_ID}', 1, 'b'), (3, '{BOB_ID}', 2, 'law'),
    (4, '{ANN_ID}', 2, null), (6, null, null, 'f');
insert into members values (1, '{ANN_ID}'), (1, '{BOB_ID}'), (2, null);
insert into open values (1, 'x'); insert into shut values (1);
"""

NEW: tuple[dict[str, Any], ...] = (
    {"title": "c"},
    {"title": "abc"},
    {"title": None},
    {"title": "none"},
    {"title": "law", "team": 2},
    {"author": BOB_ID},
    {"author": ANN_ID, "team": 1},
)


class PoliciesContract:
    """Subclass it, name the class ``Test…`` and override ``kernel_options``.

    The kernel needs a `Database` as well, in which the suite makes tables of its own.
    """

    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        """Return the arguments of ``make_kernel``: at least the plugins for `Policies` and `Database`."""
        raise NotImplementedError("override kernel_options")

    @pytest.fixture
    def policies(self, kernel: Any) -> Policies:
        """Return the tested policies, with tables to decide on."""
        with kernel.services[Database].schema_transaction() as transaction:
            transaction.script(SCHEMA)
        policies: Policies = kernel.services[Policies]
        return policies

    @pytest.mark.parametrize("caller", ["ann", "bob", "anon", "service"])
    @pytest.mark.parametrize("command", ["select", "delete"])
    def test_a_row_that_is_there_is_decided_as_by_a_statement(
        self, kernel: Any, policies: Policies, caller: str, command: Command
    ) -> None:
        """Whether it may be read, or deleted."""
        for row in (1, 2, 3, 4, 6):
            decided = policies.explain(CALLERS[caller], command, "posts", key={"id": row})
            assert decided.allowed == tried(kernel, CALLERS[caller], command, "posts", {"id": row}), decided
            assert policies.allows(CALLERS[caller], command, "posts", key={"id": row}) == decided.allowed

    @pytest.mark.parametrize("caller", ["ann", "bob", "anon", "service"])
    def test_an_update_is_decided_as_by_a_statement(
        self, kernel: Any, policies: Policies, caller: str
    ) -> None:
        """It has to find its row, and the new row has to be allowed, and be visible afterwards."""
        for row in (1, 2, 3, 4, 6):
            for new in NEW:
                decided = policies.explain(CALLERS[caller], "update", "posts", key={"id": row}, row=new)
                did = tried(kernel, CALLERS[caller], "update", "posts", {"id": row}, new)
                assert decided.allowed == did, (row, new, decided)

    @pytest.mark.parametrize("caller", ["ann", "bob", "anon", "service"])
    def test_an_insert_is_decided_as_by_a_statement(
        self, kernel: Any, policies: Policies, caller: str
    ) -> None:
        """With the table's defaults for what is not given."""
        for new in NEW:
            row = {"id": 9, **new}
            decided = policies.explain(CALLERS[caller], "insert", "posts", row=row)
            assert decided.allowed == tried(kernel, CALLERS[caller], "insert", "posts", {}, row), (
                row,
                decided,
            )

    @pytest.mark.parametrize("caller", ["ann", "anon"])
    def test_other_tables_are_decided_as_by_a_statement(
        self, kernel: Any, policies: Policies, caller: str
    ) -> None:
        """Without row security, without a permissive policy, without a grant, with grants on columns; and views."""
        identity = CALLERS[caller]
        for table in ("open", "shut", "titles", "members", "logs"):
            key = {"team": 1} if table == "members" else {"id": 1}
            if table != "logs":
                decided = policies.explain(identity, "select", table, key=key)
                assert decided.allowed == tried(kernel, identity, "select", table, key), decided
        for table in ("open", "shut"):
            decided = policies.explain(identity, "delete", table, key={"id": 1})
            assert decided.allowed == tried(kernel, identity, "delete", table, {"id": 1}), decided
        for row in ({"id": 5}, {"id": 5, "note": "x"}):
            decided = policies.explain(identity, "insert", "open", row=row)
            assert decided.allowed == tried(kernel, identity, "insert", "open", {}, row), decided

    def test_without_a_row_the_answer_is_whether_it_may_be_tried(self, policies: Policies) -> None:
        """Its policies are named, and none has been asked."""
        decided = policies.explain(ANN, "update", "posts")
        assert decided.allowed
        assert {one.policy.name: one.holds for one in decided.verdicts} == {
            "own": None,
            "teams": None,
            "titled": None,
        }
        assert not policies.allows(ANN, "select", "shut")
        assert not policies.allows(ANN, "select", "logs")
        assert not policies.allows(None, "insert", "posts")

    def test_all_policies_that_count_are_told_with_what_they_say(self, policies: Policies) -> None:
        """Of an update: those that find the row, and those for the new one, of update and of select."""
        decided = policies.explain(ANN, "update", "posts", key={"id": 2}, row={"title": None})
        assert not decided.allowed
        assert {(one.policy.name, one.command, one.new): one.holds for one in decided.verdicts} == {
            ("own", "update", False): False,
            ("teams", "update", False): True,
            ("titled", "update", False): True,
            ("own", "select", False): False,
            ("shared", "select", False): True,
            ("own", "update", True): False,
            ("teams", "update", True): False,
            ("titled", "update", True): False,
            ("own", "select", True): False,
            ("shared", "select", True): True,
        }
        assert decided.asked == (("update", False), ("select", False), ("update", True), ("select", True))

    @pytest.mark.parametrize(
        ("caller", "command", "table", "options", "named"),
        [
            ("ann", "select", "posts", {"key": {"id": 1}}, "own"),
            ("bob", "select", "posts", {"key": {"id": 1}}, "shared"),
            ("bob", "update", "posts", {"key": {"id": 3}}, "titled"),
            ("anon", "select", "posts", {"key": {"team": 1}}, "team"),
            ("anon", "insert", "open", {"row": {"id": 5, "note": "x"}}, "note"),
            ("anon", "select", "logs", {}, "anon"),
            ("nobody", "select", "posts", {}, "nobody"),
            ("service", "select", "logs", {}, "service_role"),
        ],
    )
    def test_the_reason_names_what_decided(
        self, policies: Policies, caller: str, command: Command, table: str, options: Any, named: str
    ) -> None:
        """A policy, a column, or a role."""
        assert named in policies.explain(CALLERS[caller], command, table, **options).reason

    def test_the_grants_of_a_caller_are_told(self, policies: Policies) -> None:
        """Those on columns with their column; none of other roles'."""
        decided = policies.explain(None, "select", "posts", key={"id": 2})
        assert {(one.role, one.privilege, one.column) for one in decided.grants} == {
            ("anon", "select", "id"),
            ("anon", "select", "title"),
        }

    def test_nothing_is_changed_by_asking(self, kernel: Any, policies: Policies) -> None:
        """Not even where it would be allowed."""
        before = kernel.services[Database].query("select * from posts order by id")
        assert policies.allows(ANN, "insert", "posts", row={"id": 9})
        assert policies.allows(ANN, "update", "posts", key={"id": 1}, row={"title": "z"})
        assert policies.allows(ANN, "delete", "posts", key={"id": 1})
        assert kernel.services[Database].query("select * from posts order by id") == before

    @pytest.mark.parametrize(
        ("table", "options", "sqlstate"),
        [
            ("nowhere", {}, "42P01"),
            ("posts", {"key": {"id": 77}}, "02000"),
            ("posts", {"key": {"nothing": 1}}, "42703"),
            ("posts", {"key": {"id": 1}, "row": {"nothing": 1}}, "42703"),
        ],
    )
    def test_what_is_not_there_is_an_error(
        self, policies: Policies, table: str, options: Any, sqlstate: str
    ) -> None:
        """And no refusal."""
        with pytest.raises(DatabaseError) as caught:
            policies.explain(ANN, "update", table, **options)
        assert caught.value.sqlstate == sqlstate

    def test_a_policy_that_had_decided_otherwise(self, policies: Policies) -> None:
        """Tells whether it was the one that decided."""
        seen = policies.explain(ANN, "select", "posts", key={"id": 1})
        assert [seen.would_allow(name, holds=False) for name in ("own", "shared")] == [True, True]
        seen = policies.explain(ANN, "select", "posts", key={"id": 4})
        assert not seen.would_allow("own", holds=False)
        hidden: Decision = policies.explain(BOB, "delete", "posts", key={"id": 1})
        assert hidden.would_allow("own", holds=True)
        assert not hidden.would_allow("shared", holds=True)


def tried(
    kernel: Any,
    identity: Identity | None,
    command: Command,
    table: str,
    where: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Run the statement of a command, none of which stays, and tell whether it did anything."""
    caller = Caller(kernel, identity or Identity("anon"))
    try:
        if command == "select":
            caller.can_select(table, **where)
        elif command == "insert":
            caller.can_insert(table, values or {})
        elif command == "update":
            caller.can_update(table, values or {}, **where)
        else:
            caller.can_delete(table, **where)
    except AssertionError:
        return False
    return True
