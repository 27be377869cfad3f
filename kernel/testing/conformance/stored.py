"""What every `Database` must do with the types it stores."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from kernel.contracts.database import Compiled, Database, DatabaseError

ROUND_TRIPS = [
    ("smallint", "-32768", "-32768", -32768),
    ("integer", "2147483647", "2147483647", 2147483647),
    ("bigint", "9223372036854775807", "9223372036854775807", 9223372036854775807),
    ("text", "1e5", "1e5", "1e5"),
    ("text", "", "", ""),
    ("boolean", "true", "true", True),
    ("boolean", "f", "false", False),
    ("double precision", "1.5", "1.5", 1.5),
    ("uuid", "550E8400-e29b-41d4-a716-446655440000", *["550e8400-e29b-41d4-a716-446655440000"] * 2),
    ("date", "2024-02-29", "2024-02-29", "2024-02-29"),
    (
        "timestamp with time zone",
        "2024-01-01T02:00:00.5+02:00",
        "2024-01-01 00:00:00.5+00",
        "2024-01-01T00:00:00.5+00:00",
    ),
    ("jsonb", '{"a": [1, null]}', '{"a": [1, null]}', {"a": [1, None]}),
    ("interval", "1 day 2 hours", "1 day 02:00:00", "1 day 02:00:00"),
    ("text[]", '{a,NULL,"b c"}', '{a,NULL,"b c"}', ["a", None, "b c"]),
    ("integer[]", "{1,-2}", "{1,-2}", [1, -2]),
    ("boolean[]", "{t,f}", "{t,f}", [True, False]),
    ("numeric(5,1)[]", "{1.25}", "{1.3}", [1.3]),
    (
        "timestamp with time zone[]",
        "{2024-01-01 02:00+02}",
        '{"2024-01-01 00:00:00+00"}',
        ["2024-01-01T00:00:00+00:00"],
    ),
    ("jsonb[]", '{"{\\"a\\": 1}"}', '{"{\\"a\\": 1}"}', [{"a": 1}]),
]

REFUSED = [
    ("integer", "abc", "22P02"),
    ("integer", "2147483648", "22003"),
    ("boolean", "perhaps", "22P02"),
    ("uuid", "550e8400", "22P02"),
    ("date", "2024-02-30", "22008"),
    ("jsonb", "{", "22P02"),
    ("text[]", "a", "22P02"),
    ("integer[]", "{a}", "22P02"),
]


class StoredTypes:
    """The part of `DatabaseContract` that stores values."""

    @pytest.mark.parametrize(("kind", "given", "text", "value"), ROUND_TRIPS)
    def test_a_value_goes_in_and_out_as_text_and_json(
        self, database: Database, kind: str, given: str, text: str, value: object
    ) -> None:
        """By the templates of its stored type, and equal to itself."""
        with database.schema_transaction() as transaction:
            transaction.script(f"create table kept (id bigint primary key, value {kind})")
        stored = database.stored(kind)
        with database.transaction() as transaction:
            transaction.execute(
                Compiled(f"insert into kept (id, value) values (1, {stored.assign_text.format(':given')})"),
                {"given": given},
            )
        assert database.query(Compiled(f"select {stored.to_text.format('value')} from kept")) == [(text,)]
        build = (
            "json_object('value', {})"
            if database.engine == "sqlite"
            else "json_build_object('value', {})::text"
        )
        (row,) = database.query(Compiled(f"select {build.format(stored.to_json.format('value'))} from kept"))
        assert json.loads(row[0]) == {"value": value}
        if stored.comparable:
            found = database.query(
                Compiled(f"select id from kept where value = {stored.from_text.format(':text')}"),
                {"text": text},
            )
            assert found == [(1,)]

    @pytest.mark.parametrize(("kind", "given", "sqlstate"), REFUSED)
    def test_a_value_that_does_not_fit_is_refused(
        self, database: Database, kind: str, given: str, sqlstate: str
    ) -> None:
        """When a statement runs, on assignment and on comparison alike."""
        with database.schema_transaction() as transaction:
            transaction.script(f"create table kept (id bigint primary key, value {kind})")
            transaction.script("insert into kept (id) values (1)")
        stored = database.stored(kind)
        with pytest.raises(DatabaseError) as raised:
            database.query(
                Compiled(f"select 1 where 1 = 1 and {stored.from_text.format(':given')} is null"),
                {"given": given},
            )
        assert raised.value.sqlstate == sqlstate
        with (
            suppress(DatabaseError),
            database.transaction() as transaction,
            pytest.raises(DatabaseError) as raised,
        ):
            transaction.execute(
                Compiled(f"update kept set value = {stored.assign_text.format(':given')}"), {"given": given}
            )
        assert raised.value.sqlstate == sqlstate

    def test_arrays_travel_as_json(self, database: Database) -> None:
        """As values of rows and as parameters, compared by their elements."""
        with database.schema_transaction() as transaction:
            transaction.script(
                "create table kept (id bigint primary key, tags text[], sums numeric[], at timestamptz[])"
            )
        row = {"tags": '["a", null, "b c"]', "sums": "[1.50]", "at": '["2024-01-01T00:00:00+00:00"]'}
        with database.transaction() as transaction:
            transaction.execute("insert into kept values (1, :tags, :sums, :at)", row)
        ((*found,),) = database.query(
            "select tags, sums, at from kept where tags = :tags", {"tags": row["tags"]}
        )
        assert [json.loads(text) for text in found] == [json.loads(text) for text in row.values()]
        assert "1.50" in found[1]
        assert database.query("select 1 where 'a' = any(:tags)", {"tags": '["a"]'}) == [(1,)]

    def test_null_stays_null_in_every_template(self, database: Database) -> None:
        """In every type."""
        for kind in {str(kind) for kind, *_ in ROUND_TRIPS}:
            stored = database.stored(kind)
            for template in (stored.to_text, stored.from_text, stored.assign_text, stored.assign_json):
                assert database.query(Compiled(f"select {template.format(':null')}"), {"null": None}) == [
                    (None,)
                ], kind

    def test_one_name_gives_one_stored_type_and_an_unknown_one_is_refused(self, database: Database) -> None:
        """As one that does not exist (42704)."""
        assert database.stored("text") is database.stored("text")
        with pytest.raises(DatabaseError) as raised:
            database.stored("hypercube")
        assert raised.value.sqlstate == "42704"
