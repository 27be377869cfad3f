"""What every `Records` must do with functions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.queries import Call, Comparison, Embed, Field, Item, Order, Select
from kernel.contracts.records import AmbiguousFunction, Called, Records, UnknownFunction
from kernel.testing.conformance.record_embeds import RecordEmbeds
from kernel.testing.conformance.record_reads import ID, NAME, SERVICE

FUNCTIONS = """
create function add(a integer, b integer default 10) returns integer language sql immutable as 'select a + b';
create function yes() returns boolean language sql stable as 'select true';
create function exactly(n numeric) returns numeric language sql stable as 'select n';
create function said(words text[]) returns text language sql stable as 'select words[2]';
create function kept(doc jsonb) returns jsonb language sql stable as 'select doc';
create function odd() returns setof integer language sql stable as 'select 1 union all select 3';
create function named(prefix text) returns setof people language sql stable
    as 'select * from people where name like prefix || ''%''';
create function first_one() returns people language sql stable as 'select * from people order by id limit 1';
create function pairs() returns table (n integer, label text, day date) language sql stable
    as 'select 1, ''one'', date ''2024-01-02'' union all select 2, ''two'', null';
create function rename(who bigint, new text) returns setof people language sql
    as 'update people set name = new where id = who returning *';
create function forget(who bigint) returns void language sql as 'delete from people where id = who';
create function twice(a integer) returns integer language sql as 'select a * 2';
create function twice(a text) returns text language sql as 'select a || a';
create function kind(boolean) returns text language sql immutable as 'select ''boolean''';
create function kind(text) returns text language sql immutable as 'select ''text:'' || $1';
create function called(who people) returns text language sql stable as 'select who.name || who.id';
create function teammates(who people) returns setof people language sql stable
    as 'select * from people where team = who.team';
create function nothing(ids uuid[]) returns void language sql as '';
create function keyed(jsonb, key text) returns text language sql immutable as 'select $1 ->> key';
create function summed(integer) returns integer language sql immutable as 'select $1 + 1';
create function summed(integer, integer) returns integer language sql immutable as 'select $1 + $2';
"""


class RecordCalls(RecordEmbeds):
    """The part of `RecordsContract` about functions."""

    @pytest.fixture
    def functions(self, database: Database, records: Records) -> Records:
        """Return the records of a database with functions."""
        with database.schema_transaction() as transaction:
            transaction.script(FUNCTIONS)
        return records

    def called(self, records: Records, function: str, arguments: Any = None, **options: Any) -> Called:
        """Call a function with arguments as JSON has them."""
        given = {} if arguments is None else arguments
        return records.call(Call(function, tuple(given), json.dumps(given), **options), SERVICE)

    @pytest.mark.parametrize(
        ("function", "arguments", "body"),
        [
            ("add", {"a": 1, "b": 2}, b"3"),
            ("add", {"a": 1}, b"11"),
            ("add", {"a": None}, b"null"),
            ("yes", {}, b"true"),
            ("exactly", {"n": "12345678901234567890.10"}, b"12345678901234567890.10"),
            ("said", {"words": ["a", "b"]}, b'"b"'),
            ("kept", {"doc": "text"}, b'"text"'),
            ("called", {"who": {"id": 7, "name": "x", "extra": {"a": [1]}}}, b'"x7"'),
            ("kind", {"": "a"}, b'"text:a"'),
            ("kind", {"": True}, b'"text:true"'),
            ("keyed", {"": {"a": "b"}, "key": "a"}, b'"b"'),
            ("kept", {"doc": {"a": [1]}}, b'{"a":[1]}'),
        ],
    )
    def test_a_value_comes_back_as_json(
        self, functions: Records, function: str, arguments: Any, body: bytes
    ) -> None:
        """Arguments go in by name, as JSON; those left out have their defaults."""
        found = self.called(functions, function, arguments)
        assert (found.body.replace(b" ", b""), found.single, found.is_void) == (body, True, False)

    def test_arguments_may_be_text(self, functions: Records) -> None:
        """As a query string has them."""
        assert self.called(functions, "add", {"a": "1", "b": "2"}, texts=True).body == b"3"
        assert self.called(functions, "said", {"words": "{a,b}"}, texts=True).body == b'"b"'
        assert json.loads(self.called(functions, "kept", {"doc": '{"a":1}'}, texts=True).body) == {"a": 1}
        with pytest.raises(DatabaseError) as raised:
            self.called(functions, "add", {"a": "x"}, texts=True)
        assert raised.value.sqlstate == "22P02"

    def test_many_values_are_an_array(self, functions: Records) -> None:
        """Of values, not of objects; limits and offsets apply."""
        found = self.called(functions, "odd")
        assert (json.loads(found.body), found.count, found.single) == ([1, 3], 2, False)
        found = self.called(functions, "odd", limit=1, offset=1, counted=True)
        assert (json.loads(found.body), found.count, found.total) == ([3], 1, 2)

    def test_rows_are_selected_from_as_a_tables(self, functions: Records) -> None:
        """With conditions, orders and what is related to the table whose rows they are."""
        where = (Comparison(Field("age"), "gt", "5"),)
        items = (Item(NAME), Embed("teams", items=(Item(NAME),)))
        found = self.called(
            functions, "named", {"prefix": ""}, items=items, where=where, order=(Order(NAME),)
        )
        assert json.loads(found.body) == [
            {"name": "Ann", "teams": {"name": "red"}},
            {"name": "bob", "teams": None},
        ]
        found = self.called(functions, "named", {"prefix": ""}, items=ID, limit=1, counted=True)
        assert (found.count, found.total) == (1, 3)
        one = self.called(functions, "first_one", items=(Item(NAME), Item(Field("paid"))))
        assert (one.body.replace(b" ", b""), one.single) == (b'{"name":"Ann","paid":10.50}', True)

    def test_a_row_goes_in_as_an_object(self, functions: Records) -> None:
        """Of which any members may be missing."""
        assert json.loads(self.called(functions, "teammates", {"who": {"team": 1}}, items=ID).body) == [
            {"id": 1}
        ]
        assert self.called(functions, "teammates", {"who": None}).body == b"[]"

    def test_columns_of_its_own_are_selected_from_too(self, functions: Records) -> None:
        """Each by its type."""
        found = self.called(functions, "pairs", where=(Comparison(Field("day"), "gte", "2024-01-01"),))
        assert json.loads(found.body) == [{"n": 1, "label": "one", "day": "2024-01-02"}]

    def test_a_call_may_write(self, functions: Records) -> None:
        """Once, and not where it is to be read only; what it wrote is gone if the call fails."""
        found = self.called(functions, "rename", {"who": 2, "new": "Bo"}, items=ID)
        assert json.loads(found.body) == [{"id": 2}]
        assert self.called(functions, "forget", {"who": 3}).is_void
        assert self.called(functions, "nothing", {"ids": []}).is_void
        rows = self.rows(functions, Select("people", items=(Item(NAME),), order=(Order(NAME),)))
        assert [row["name"] for row in rows] == ["Ann", "Bo"]
        with pytest.raises(DatabaseError) as raised:
            self.called(functions, "forget", {"who": 2}, read_only=True)
        assert raised.value.sqlstate == "25006"
        with pytest.raises(DatabaseError) as raised:
            self.called(functions, "rename", {"who": 2, "new": "x"}, items=(Item(Field("nothing")),))
        assert raised.value.sqlstate == "42703"
        assert len(self.rows(functions, Select("people", where=(Comparison(NAME, "eq", "Bo"),)))) == 1

    def test_a_function_is_found_by_its_arguments_names(self, functions: Records) -> None:
        """Or not; several that take them are told."""
        assert functions.function(Call("add", ("a",)), SERVICE).name == "add"
        for call in (
            Call("add"),
            Call("add", ("a", "c")),
            Call("ad", ("a",)),
            Call("add", ("a",), schema="no"),
        ):
            with pytest.raises(UnknownFunction):
                functions.function(call, SERVICE)
        with pytest.raises(AmbiguousFunction) as raised:
            functions.function(Call("twice", ("a",)), SERVICE)
        assert [one.arguments[0].type for one in raised.value.candidates] == ["integer", "text"]

    def test_a_function_with_an_argument_that_has_no_name(self, functions: Records) -> None:
        """Is called by an empty one, where its type is that of a whole body; no other is known to clients."""
        found = functions.function(Call("kind", ("",)), SERVICE)
        assert [argument.type for argument in found.arguments] == ["text"]
        for call in (Call("summed", ("",)), Call("summed", whole="json")):
            with pytest.raises(UnknownFunction) as raised:
                functions.function(call, SERVICE)
            assert raised.value.suggestion is None
