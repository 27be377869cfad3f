"""What every `Records` must do with related rows and aggregates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.queries import (
    Aggregate,
    Comparison,
    Delete,
    Embed,
    Field,
    Insert,
    Is,
    Item,
    Logic,
    Order,
    Select,
    Selected,
    Step,
    Update,
)
from kernel.contracts.records import (
    AmbiguousRelationship,
    NoRelationship,
    NotEmbedded,
    NotToOne,
    Records,
    Unsupported,
)
from kernel.identity import Identity
from kernel.testing.conformance.record_reads import ID, NAME, SERVICE, RecordReads, equal

SCHEMA = """
create table skills (id bigint primary key, name text not null, level numeric);
create table person_skills (
    person bigint references people (id), skill bigint references skills (id), since integer,
    primary key (person, skill)
);
create table tasks (
    id bigint primary key, title text not null, hours integer, due date,
    owner bigint references people (id), helper bigint references people (id), parent bigint references tasks (id)
);
create table badges (person bigint primary key references people (id), code text, valid boolean, info jsonb);
insert into skills values (1, 'sql', 1.50), (2, 'c', 20), (3, 'no one has', null);
insert into person_skills values (1, 1, 2001), (1, 2, 2002), (2, 2, 2003);
insert into tasks values
    (1, 'a', 5, '2024-01-01', 1, 2, null), (2, 'b', 7, null, 1, null, 1), (3, 'c', null, null, 2, null, 1),
    (4, 'd', 2, null, null, null, 2);
insert into badges values (1, 'x', true, '{"k": [1]}'), (3, null, null, null);
"""

FUNCTIONS = """
create function label(tasks) returns text language sql immutable as $$ select $1.id || ': ' || $1.title $$;
create function doubled(task tasks) returns integer language sql immutable as $$ select task.hours * 2 $$;
create function open_tasks(people) returns setof tasks language sql stable as
    $$ select * from tasks where owner = $1.id order by id $$;
create function boss(tasks) returns setof people language sql stable rows 1 as
    $$ select * from people where id = $1.owner $$;
"""

_ID = Item(Field("id"))
_NAME = Item(NAME)
_TITLE = Item(Field("title"))


def _row(**members: Any) -> dict[str, Any]:
    return members


class RecordEmbeds(RecordReads):
    """The part of `RecordsContract` about relationships."""

    @pytest.fixture
    def related(self, database: Database, records: Records) -> Records:
        """Return the records of a database with tasks, skills and badges too."""
        with database.schema_transaction() as transaction:
            transaction.script(SCHEMA)
        return records

    def found(self, records: Records, table: str, *items: Selected, **options: Any) -> Any:
        """Return the rows of a read in the order of their ids."""
        options.setdefault("order", (Order(Field("id")),))
        return self.rows(records, Select(table, items=items, **options))

    def test_a_foreign_key_leads_to_one_row(self, related: Records) -> None:
        """An object, or null; by the table's name, the key's, or the column's."""
        expected = [{"id": 1, "parent": None}, {"id": 2, "parent": {"title": "a"}}]
        embed = Embed("parent", items=(_TITLE,))
        assert self.found(related, "tasks", _ID, embed, limit=2) == expected
        owner = Embed("owner", items=(_NAME,))
        by_key = Embed("people", "tasks_owner_fkey", "owner", items=(_NAME,))
        for one in (owner, by_key, Embed("tasks_owner_fkey", alias="owner", items=(_NAME,))):
            rows = self.found(related, "tasks", _ID, one)
            assert rows[2:] == [_row(id=3, owner={"name": "bob"}), _row(id=4, owner=None)]

    def test_the_other_side_of_a_key_leads_to_many(self, related: Records) -> None:
        """An array, in order and part as the embed says, empty where there is none."""
        tasks = Embed("tasks", "owner", items=(_TITLE,), order=(Order(Field("hours"), descending=True),))
        assert self.found(related, "people", _ID, tasks)[:2] == [
            _row(id=1, tasks=[{"title": "b"}, {"title": "a"}]),
            _row(id=2, tasks=[{"title": "c"}]),
        ]
        one = Embed("tasks", "owner", "last", items=(_ID,), order=(Order(Field("id")),), limit=1, offset=1)
        assert self.found(related, "people", one) == [{"last": [{"id": 2}]}, {"last": []}, {"last": []}]

    def test_a_unique_key_leads_to_one_row_from_either_side(self, related: Records) -> None:
        """Its values of every type as in any row."""
        badge = {"person": 1, "code": "x", "valid": True, "info": {"k": [1]}}
        rows = self.found(related, "people", _ID, Embed("badges"))
        assert [row["badges"] for row in rows] == [
            badge,
            None,
            {"person": 3, "code": None, "valid": None, "info": None},
        ]
        people = Embed("people", items=(_NAME,))
        order = (Order(Field("person")),)
        assert self.found(related, "badges", people, order=order)[0] == {"people": {"name": "Ann"}}

    def test_a_table_of_two_keys_leads_from_many_to_many(self, related: Records) -> None:
        """And can itself be embedded."""
        skills = Embed("skills", items=(_NAME,), order=(Order(NAME),))
        assert self.found(related, "people", _ID, skills) == [
            _row(id=1, skills=[{"name": "c"}, {"name": "sql"}]),
            _row(id=2, skills=[{"name": "c"}]),
            _row(id=3, skills=[]),
        ]
        through = Embed("person_skills", items=(Item(Field("since")), Embed("skills", items=(_NAME,))))
        (row,) = self.found(related, "people", through, where=(equal("id", "2"),))
        assert row == {"person_skills": [{"since": 2003, "skills": {"name": "c"}}]}

    def test_embeds_nest(self, related: Records) -> None:
        """A table within itself too."""
        below = Embed("tasks", None, "below", items=(_ID,), order=(Order(Field("id")),))
        tree = Embed("tasks", "parent", "below", items=(_ID, below), order=(Order(Field("id")),))
        (row,) = self.found(related, "tasks", _ID, tree, where=(equal("id", "1"),))
        assert row == _row(id=1, below=[_row(id=2, below=[{"id": 4}]), _row(id=3, below=[])])

    def test_an_inner_embed_leaves_rows_out(self, related: Records) -> None:
        """Those with nothing to embed, as its own conditions and inner embeds have it; the total counts the rest."""
        tasks = Embed(
            "tasks", "owner", items=(_ID,), where=(Comparison(Field("hours"), "gt", "5"),), inner=True
        )
        assert self.found(related, "people", _ID, tasks) == [_row(id=1, tasks=[{"id": 2}])]
        deeper = Embed("people", "owner", items=(_ID, Embed("badges", inner=True)), inner=True)
        assert [row["id"] for row in self.found(related, "tasks", _ID, deeper)] == [1, 2]
        page = related.read(Select("people", items=(tasks,), counted=True, limit=10), SERVICE)
        assert page.total == 1

    def test_conditions_on_whether_there_is_a_related_row(self, related: Records) -> None:
        """By the embed's name, within a tree too; an embed without members only serves that."""
        none = Embed("badges", items=())
        absent, present = Is(Field("badges"), "null"), Is(Field("badges"), "null", negated=True)
        assert self.found(related, "people", _ID, none, where=(absent,)) == [{"id": 2}]
        either = Logic("or", (present, equal("name", "bob")))
        assert self.found(related, "people", _ID, none, where=(either,)) == [{"id": 1}, {"id": 2}, {"id": 3}]

    def test_rows_are_ordered_by_a_related_row(self, related: Records) -> None:
        """Where there is one at most."""
        order = (Order(NAME, descending=True, nulls="last", related="owner"), Order(Field("id")))
        rows = self.found(related, "tasks", _ID, Embed("owner", items=(_NAME,)), order=order)
        assert [row["id"] for row in rows] == [3, 1, 2, 4]
        with pytest.raises(NotToOne):
            self.found(
                related, "people", Embed("tasks", "owner"), order=(Order(Field("id"), related="tasks"),)
            )
        with pytest.raises(NotEmbedded):
            self.found(related, "people", order=(Order(Field("id"), related="tasks"),))

    def test_values_out_of_documents_and_related_rows_sort_as_their_type(
        self, related: Records, database: Database
    ) -> None:
        """Numbers by value and not as text, documents as ``jsonb`` does."""
        with database.schema_transaction() as transaction:
            transaction.script("""
                create table prices (id bigint primary key, price numeric);
                insert into prices values (1, 9), (2, 10.50), (3, 100);
                create table sales (id bigint primary key, price bigint references prices (id), doc jsonb);
                insert into sales values (1, 3, '{"n": 100}'), (2, 1, '{"n": 9.0}'), (3, 2, '{"n": "a"}');
            """)
        price = Embed("prices", items=(Item(Field("price")),))
        by_price = self.found(related, "sales", _ID, price, order=(Order(Field("price"), related="prices"),))
        assert [row["id"] for row in by_price] == [2, 3, 1]
        inside = Field("doc", (Step("n"),))
        assert [row["id"] for row in self.found(related, "sales", _ID, order=(Order(inside),))] == [3, 2, 1]
        equal_ = (Comparison(inside, "eq", "9"),)
        assert self.found(related, "sales", _ID, where=equal_) == [{"id": 2}]

    def test_a_spread_puts_members_in_the_rows_own_object(self, related: Records) -> None:
        """Of many rows, each member becomes an array."""
        badge = Embed("badges", items=(Item(Field("code")), Item(Field("info"), "about")), spread=True)
        assert self.found(related, "people", _ID, badge) == [
            _row(id=1, code="x", about={"k": [1]}),
            _row(id=2, code=None, about=None),
            _row(id=3, code=None, about=None),
        ]
        skills = Embed("skills", items=(_NAME, Item(Field("level"))), order=(Order(NAME),), spread=True)
        (row,) = self.found(related, "people", skills, where=(equal("id", "1"),))
        assert row == {"name": ["c", "sql"], "level": [20, 1.5]}
        both = Embed(
            "owner", items=(_NAME, Embed("badges", items=(Item(Field("code")),), spread=True)), spread=True
        )
        assert self.found(related, "tasks", _ID, both)[:1] == [_row(id=1, name="Ann", code="x")]

    def test_aggregates_are_reckoned_by_the_other_members(self, related: Records) -> None:
        """Of all rows where there are no other members."""
        total = Aggregate("sum", Field("hours"))
        assert self.found(related, "tasks", total, Aggregate("count"), order=()) == [{"sum": 14, "count": 4}]
        owner = Item(Field("owner"))
        order = (Order(Field("owner"), nulls="first"),)
        assert self.found(related, "tasks", owner, total, order=order) == [
            _row(owner=None, sum=2), _row(owner=1, sum=12), _row(owner=2, sum=None),
        ]  # fmt: skip
        cast = Aggregate("avg", Field("hours"), "mean", "numeric", "text")
        longest = Aggregate("max", Field("title"), "last")
        rows = self.found(related, "tasks", cast, longest, where=(equal("owner", "1"),), order=())
        assert rows == [{"mean": "6.0000000000000000", "last": "b"}]
        with pytest.raises(DatabaseError) as raised:
            self.found(related, "tasks", total)
        assert raised.value.sqlstate == "42803"

    def test_equal_rows_are_answered_once_if_that_is_wanted(self, related: Records) -> None:
        """As they are selected, related rows included; the total counts them so."""
        items = (Item(Field("owner")), Item(Field("helper")))
        order = (Order(Field("owner"), nulls="last"), Order(Field("helper")))
        rows = self.found(related, "tasks", *items, order=order, distinct=True)
        assert rows == [
            _row(owner=1, helper=2),
            _row(owner=1, helper=None),
            _row(owner=2, helper=None),
            _row(owner=None, helper=None),
        ]
        owner = Embed("owner", items=(_NAME,))
        query = Select("tasks", items=(owner,), distinct=True, limit=2, counted=True)
        page = related.read(query, SERVICE)
        assert (page.count, page.total) == (2, 3)

    def test_aggregates_beside_and_within_embeds(self, related: Records) -> None:
        """An embedded row groups; a spread row's aggregates are the outer row's."""
        hours = Aggregate("sum", Field("hours"))
        rows = self.found(related, "tasks", Embed("owner", items=(_NAME,)), hours, order=())
        assert sorted(rows, key=json.dumps) == [
            {"owner": None, "sum": 2}, {"owner": {"name": "Ann"}, "sum": 12}, {"owner": {"name": "bob"}, "sum": None},
        ]  # fmt: skip
        within = Embed("tasks", "owner", items=(hours, Aggregate("count")))
        (row,) = self.found(related, "people", within, where=(equal("id", "1"),))
        assert row == {"tasks": [{"sum": 12, "count": 2}]}
        spread = Embed("owner", items=(Aggregate("max", Field("age")),), spread=True)
        assert self.found(related, "tasks", spread, Aggregate("count"), order=()) == [{"max": 30, "count": 4}]
        named = Embed("owner", items=(Item(NAME, "who"), Aggregate("count")), spread=True)
        order = (Order(Field("who"), nulls="first", related="owner"),)
        rows = self.found(related, "tasks", named, order=order)
        assert rows == [_row(who=None, count=1), _row(who="Ann", count=2), _row(who="bob", count=1)]
        with pytest.raises(Unsupported):
            many = Embed("tasks", "owner", items=(hours,), spread=True)
            self.found(related, "people", many)

    def test_writes_return_related_rows(self, related: Records) -> None:
        """As they are after the write; a row that lacks an inner one is written, and not returned."""
        owner = Embed("owner", items=(_NAME,))
        written = related.insert(
            Insert(
                "tasks",
                ("id", "title", "owner"),
                '[{"id":9,"title":"z","owner":2}]',
                1,
                returning=(_ID, owner),
            ),
            SERVICE,
        )
        assert json.loads(written.body) == [_row(id=9, owner={"name": "bob"})]
        inner = Embed("owner", items=(_NAME,), inner=True)
        update = Update("tasks", ("hours",), '{"hours":1}', returning=(_ID, inner))
        written = related.update(update, SERVICE)
        assert sorted(row["id"] for row in json.loads(written.body)) == [1, 2, 3, 9]
        assert written.count == 5
        helper = Embed("helper", items=(_NAME,))
        delete = Delete("tasks", where=(equal("id", "9"),), returning=(helper,))
        assert json.loads(related.delete(delete, SERVICE).body) == [{"helper": None}]

    def test_what_is_not_related_is_refused(self, related: Records) -> None:
        """So is what several keys relate, unless a hint tells which."""
        with pytest.raises(NoRelationship):
            self.found(related, "people", Embed("seats"))
        with pytest.raises(AmbiguousRelationship) as raised:
            self.found(related, "people", Embed("tasks"))
        assert len(raised.value.candidates) == 2
        with pytest.raises(NoRelationship):
            self.found(related, "people", Embed("tasks", "parent"))

    def test_related_rows_need_rights_of_their_own(self, related: Records, database: Database) -> None:
        """The caller's, on the table, and by its policies."""
        with database.schema_transaction() as transaction:
            transaction.script("""
                grant select on people to anon;
                alter table tasks enable row level security;
                create policy short on tasks for select using (hours < 6);
            """)
        query = Select(
            "people", items=(_ID, Embed("tasks", "owner", items=(_ID,))), where=(equal("id", "1"),)
        )
        anyone = Identity("anon")
        with pytest.raises(DatabaseError) as raised:
            related.read(query, anyone)
        assert raised.value.sqlstate == "42501"
        with database.schema_transaction() as transaction:
            transaction.script("grant select on tasks to anon;")
        assert json.loads(related.read(query, anyone).body) == [_row(id=1, tasks=[{"id": 1}])]

    def test_bad_values_within_embeds_are_refused(self, related: Records) -> None:
        """Whether or not there is a row to compare them with."""
        bad = Embed("tasks", "owner", where=(Comparison(Field("hours"), "eq", "x"),))
        for where in ((), (equal("id", "77"),)):
            self.refused("22P02", related.read, Select("people", items=(*ID, bad), where=where))

    @pytest.fixture
    def computing(self, database: Database, related: Records) -> Records:
        """Return the records of a database whose functions work out columns and related rows, too."""
        with database.schema_transaction() as transaction:
            transaction.script(FUNCTIONS)
        return related

    def test_a_function_of_a_row_is_a_column(self, computing: Records) -> None:
        """It can be selected, cast, filtered and ordered by, but ``*`` does not hold it."""
        label = Field("label")
        order = (Order(label, descending=True),)
        assert self.found(
            computing, "tasks", _ID, Item(label), Item(label, "text"), order=order, limit=2
        ) == [
            _row(id=4, label="4: d", text="4: d"),
            _row(id=3, label="3: c", text="3: c"),
        ]
        where = (Comparison(Field("doubled"), "gt", "10"),)
        assert self.found(computing, "tasks", Item(Field("doubled")), where=where) == [{"doubled": 14}]
        assert "label" not in self.found(computing, "tasks")[0]
        with pytest.raises(DatabaseError) as raised:
            self.found(computing, "people", Item(label))
        assert raised.value.sqlstate == "42703"

    def test_a_function_of_a_row_relates_it_to_the_rows_that_it_returns(self, computing: Records) -> None:
        """An array, or an object or null where it promises one row at most."""
        due = Embed("open_tasks", items=(_TITLE,), where=(Comparison(Field("hours"), "gt", "5"),))
        assert self.found(computing, "people", _ID, due) == [
            _row(id=1, open_tasks=[{"title": "b"}]),
            _row(id=2, open_tasks=[]),
            _row(id=3, open_tasks=[]),
        ]
        boss = Embed("boss", items=(_NAME,), inner=True)
        assert self.found(computing, "tasks", _ID, boss) == [
            _row(id=1, boss={"name": "Ann"}),
            _row(id=2, boss={"name": "Ann"}),
            _row(id=3, boss={"name": "bob"}),
        ]
        nested = Embed("boss", items=(_ID, Embed("open_tasks", items=(_ID, Item(Field("label"))))))
        assert self.found(computing, "tasks", nested, limit=1) == [
            {"boss": {"id": 1, "open_tasks": [{"id": 1, "label": "1: a"}, {"id": 2, "label": "2: b"}]}}
        ]

    def test_a_function_of_a_row_shows_a_role_what_the_role_may_see(
        self, database: Database, computing: Records
    ) -> None:
        """It runs with the rights of who asks: on the row that it takes, and on what it reads."""
        anon = Identity("anon")
        with database.schema_transaction() as transaction:
            transaction.script(
                "revoke all on tasks, people from anon; grant select on people to anon;"
                "grant select (id) on tasks to anon"
            )
        for items in ((Item(Field("label")),), (Embed("boss"),)):
            with pytest.raises(DatabaseError) as raised:
                computing.read(Select("tasks", items=items), anon)
            assert raised.value.sqlstate == "42501"
        with pytest.raises(DatabaseError) as raised:
            computing.read(Select("people", items=(Embed("open_tasks"),)), anon)
        assert raised.value.sqlstate == "42501"
        with database.schema_transaction() as transaction:
            transaction.script(
                "grant select on tasks to anon; alter table tasks enable row level security;"
                "create policy few on tasks for select to anon using (hours > 5)"
            )
        page = computing.read(
            Select("people", items=(_ID, Embed("open_tasks", items=(_ID,))), order=(Order(Field("id")),)),
            anon,
        )
        assert json.loads(page.body)[0] == _row(id=1, open_tasks=[{"id": 2}])
