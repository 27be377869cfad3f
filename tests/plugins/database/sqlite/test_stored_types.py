"""Every type goes in and comes back unchanged, sorts and compares by value, or is refused."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import Compiled, DatabaseError
from plugins.database.sqlite.database import SqliteDatabase
from plugins.database.sqlite.stored import FORMS
from plugins.database.sqlite.values.numeric.numbers import compare_numeric

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
decimals = st.decimals(
    allow_nan=False, allow_infinity=False, places=None, min_value=-(10**30), max_value=10**30
)
zones = st.integers(-15 * 60 + 1, 15 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)
# Floats beyond 2**53 are whole numbers in jsonb, as in PostgreSQL, and Python compares those exactly.
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e15, 1e15) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=6,
)


def assigned(database: SqliteDatabase, type_name: str, text: str) -> Any:
    """Read text as a value of a column, and back as the engine's JSON gives it."""
    stored = database.stored(type_name)
    inner = f"SELECT {stored.assign_text.replace('{}', ':v')} AS v"
    sql = f"SELECT json_array({stored.to_json.replace('{}', 'v')}) FROM ({inner})"
    (row,) = database.query(Compiled(sql), {"v": text})
    (value,) = json.loads(row[0], parse_float=Decimal)
    return value


def from_json(database: SqliteDatabase, type_name: str, value: Any) -> Any:
    """Read a JSON body's member as a value of a column, and back as JSON."""
    stored = database.stored(type_name)
    inner = f"SELECT {stored.assign_json.replace('{}', 'm')} AS v FROM (SELECT :body -> '$.v' AS m)"
    sql = f"SELECT json_array({stored.to_json.replace('{}', 'v')}) FROM ({inner})"
    (row,) = database.query(Compiled(sql), {"body": json.dumps({"v": value})})
    (result,) = json.loads(row[0])
    return result


def in_order(database: SqliteDatabase, type_name: str, texts: list[str]) -> list[int]:
    """Return the texts' places in the order of a column that holds them."""
    with database.schema_transaction() as transaction:
        transaction.script(f"drop table if exists o; create table o (at int, v {type_name})")
        for place, text in enumerate(texts):
            transaction.execute("insert into o values (:at, :v)", {"at": place, "v": text})
    return [row[0] for row in database.query("select at from o order by v, at")]


@quick
@given(value=moments)
def test_a_timestamptz_comes_back_as_the_same_moment(database: SqliteDatabase, value: datetime) -> None:
    found = assigned(database, "timestamp with time zone", value.isoformat())
    assert datetime.fromisoformat(found) == value
    assert found.endswith("+00:00")


@quick
@given(values=st.lists(moments, max_size=6))
def test_timestamptz_sorts_by_moment(database: SqliteDatabase, values: list[datetime]) -> None:
    places = sorted(range(len(values)), key=lambda place: (values[place], place))
    assert in_order(database, "timestamptz", [value.isoformat(sep=" ") for value in values]) == places


@quick
@given(value=st.datetimes(), day=st.dates(), clock=st.times())
def test_timestamps_dates_and_times_come_back(
    database: SqliteDatabase, value: datetime, day: date, clock: time
) -> None:
    assert datetime.fromisoformat(assigned(database, "timestamp", value.isoformat())) == value
    assert date.fromisoformat(assigned(database, "date", day.isoformat())) == day
    assert time.fromisoformat(assigned(database, "time", clock.isoformat())) == clock


@quick
@given(value=decimals)
def test_a_numeric_comes_back_digit_by_digit(database: SqliteDatabase, value: Decimal) -> None:
    (row,) = database.query("select :v::numeric::text", {"v": f"{value:f}"})
    assert Decimal(row[0]) == value
    assert row[0] == (f"{value:f}" if value else f"{abs(value):f}")


@quick
@given(values=st.lists(decimals, max_size=6))
def test_numeric_sorts_by_value(database: SqliteDatabase, values: list[Decimal]) -> None:
    places = sorted(range(len(values)), key=lambda place: (values[place], place))
    assert in_order(database, "numeric", [f"{value:f}" for value in values]) == places


@quick
@given(one=decimals, other=decimals)
def test_numerics_are_equal_by_value_whatever_their_scale(
    database: SqliteDatabase, one: Decimal, other: Decimal
) -> None:
    statement = "select :a::numeric = :b::numeric, :a::numeric < :b::numeric, :a::numeric in (:b::numeric)"
    (row,) = database.query(statement, {"a": f"{one:f}", "b": f"{other:f}"})
    assert row == (int(one == other), int(one < other), int(one == other))


@given(values=st.lists(decimals, max_size=8))
def test_the_collation_is_a_total_order(values: list[Decimal]) -> None:
    texts = [f"{value:f}" for value in values]
    assert sorted(texts, key=cmp_to_key(compare_numeric)) == sorted(texts, key=Decimal)


@quick
@given(value=st.integers(-(2**63), 2**63 - 1))
def test_a_bigint_keeps_all_its_digits_in_json(database: SqliteDatabase, value: int) -> None:
    assert assigned(database, "bigint", str(value)) == value
    assert from_json(database, "bigint", value) == value


@quick
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_comes_back_bit_by_bit(database: SqliteDatabase, value: float) -> None:
    assume(value != 0)  # SQLite does not keep the sign of zero
    assert float(assigned(database, "double precision", repr(value))) == value
    assert from_json(database, "double precision", value) == value


@quick
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_comes_back_as_the_same_single_float(database: SqliteDatabase, value: float) -> None:
    import struct

    found = float(assigned(database, "real", repr(value)))
    assert struct.unpack("f", struct.pack("f", found))[0] == value


@quick
@given(value=documents)
def test_json_comes_back_as_the_same_value(database: SqliteDatabase, value: Any) -> None:
    assume("\\u0000" not in json.dumps(value))
    expected = json.loads(json.dumps(value))
    assert from_json(database, "jsonb", value) == expected
    assert from_json(database, "json", value) == expected


@quick
@given(value=documents)
def test_jsonb_is_equal_whatever_the_order_of_its_keys(database: SqliteDatabase, value: Any) -> None:
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(item)}
        return [turned(one) for one in item] if isinstance(item, list) else item

    texts = {"a": json.dumps(value), "b": json.dumps(turned(value), indent=1)}
    assume("\\u0000" not in texts["a"])
    assert database.query("select :a::jsonb = :b::jsonb", texts) == [(1,)]


@quick
@given(text=plain_text, blob=st.binary(), key=st.uuids())
def test_texts_bytes_and_uuids_come_back(
    database: SqliteDatabase, text: str, blob: bytes, key: uuid.UUID
) -> None:
    assert assigned(database, "text", text) == text
    assert from_json(database, "text", text) == text
    assert assigned(database, "bytea", "\\x" + blob.hex()) == "\\x" + blob.hex()
    assert assigned(database, "uuid", str(key).upper().replace("-", "")) == str(key)


@quick
@given(
    texts=st.lists(st.none() | plain_text),
    integers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    numbers=st.lists(st.none() | decimals),
    flags=st.lists(st.none() | st.booleans()),
)
def test_arrays_come_back_element_by_element(
    database: SqliteDatabase,
    texts: list[str | None],
    integers: list[int | None],
    numbers: list[Decimal | None],
    flags: list[bool | None],
) -> None:
    assert from_json(database, "text[]", texts) == texts
    assert from_json(database, "bigint[]", integers) == integers
    assert from_json(database, "boolean[]", flags) == flags
    written = "{" + ",".join("NULL" if number is None else f"{number:f}" for number in numbers) + "}"
    found = assigned(database, "numeric[]", written)
    assert [None if item is None else Decimal(item) for item in found] == numbers


@quick
@given(texts=st.lists(st.none() | plain_text))
def test_an_array_reads_back_from_its_own_text(database: SqliteDatabase, texts: list[str | None]) -> None:
    (row,) = database.query("select :v::text[]::text", {"v": json.dumps(texts)})
    (again,) = database.query("select :v::text[]", {"v": row[0]})
    assert json.loads(again[0]) == texts


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("text[]", ["a", None, "b c"], ["a", None, "b c"]),
        ("integer[]", ["1", 2], [1, 2]),
        ("numeric(5,1)[]", [1.25], [1.3]),
        ("timestamp with time zone[]", ["2024-01-01 12:00:00+02"], ["2024-01-01T10:00:00+00:00"]),
        ("jsonb[]", [{"b": 1, "a": [2]}], [{"b": 1, "a": [2]}]),
        ("boolean", True, True),
        ("boolean", "f", False),
        ("boolean", 1, True),
        ("integer", "12", 12),
        ("numeric(10,2)", 2.345, 2.35),
        ("text", 1.5, "1.5"),
        ("text", True, "true"),
        ("text", {"a": 1}, '{"a":1}'),
        ("jsonb", "text", "text"),
        ("date", "2024-02-29", "2024-02-29"),
        ("timestamp with time zone", "2024-01-01 12:00:00+02", "2024-01-01T10:00:00+00:00"),
        ("timestamp with time zone", "infinity", "infinity"),
    ],
)
def test_json_members_are_read_by_their_columns_type(
    database: SqliteDatabase, type_name: str, value: Any, expected: Any
) -> None:
    assert from_json(database, type_name, value) == expected


@pytest.mark.parametrize(
    "type_name", [*FORMS, "numeric(5,1)", "character varying(3)", "text[]", "numeric(5,1)[]"]
)
def test_null_stays_null_through_every_template(database: SqliteDatabase, type_name: str) -> None:
    stored = database.stored(type_name)
    for template in (
        stored.to_json,
        stored.to_text,
        stored.from_text,
        stored.assign_text,
        stored.assign_json,
    ):
        assert database.query(Compiled(f"SELECT {template.replace('{}', ':v')}"), {"v": None}) == [(None,)]
    assert database.query(Compiled(f"SELECT {stored.assign_json.replace('{}', ':v')}"), {"v": "null"}) == [
        (None,)
    ]


@pytest.mark.parametrize(
    ("type_name", "text", "sqlstate", "message"),
    [
        ("integer", "abc", "22P02", 'invalid input syntax for type integer: "abc"'),
        ("integer", "1.0", "22P02", 'invalid input syntax for type integer: "1.0"'),
        ("integer", "", "22P02", 'invalid input syntax for type integer: ""'),
        ("integer", "2147483648", "22003", 'value "2147483648" is out of range for type integer'),
        ("smallint", "40000", "22003", 'value "40000" is out of range for type smallint'),
        ("bigint", "9" * 5000, "22003", None),
        ("numeric", "1e200000", "22003", "value overflows numeric format"),
        ("numeric", "NaN", "0A000", None),
        ("numeric(3,1)", "123.4", "22003", "numeric field overflow"),
        ("double precision", "1e400", "22003", '"1e400" is out of range for type double precision'),
        ("double precision", "Infinity", "0A000", None),
        ("boolean", "maybe", "22P02", 'invalid input syntax for type boolean: "maybe"'),
        ("uuid", "{550e8400", "22P02", 'invalid input syntax for type uuid: "{550e8400"'),
        ("date", "2024-02-30", "22008", 'date/time field value out of range: "2024-02-30"'),
        ("date", "foo", "22007", 'invalid input syntax for type date: "foo"'),
        ("timestamp with time zone", "2024-01-01 25:00", "22008", None),
        (
            "timestamp with time zone",
            "2024-01-01 00:00 Mars/Base",
            "22023",
            'time zone "Mars/Base" not recognized',
        ),
        ("timestamp with time zone", "0001-01-01 00:00+10", "22008", None),
        ("json", "{", "22P02", "invalid input syntax for type json"),
        ("jsonb", '"\\u0000"', "22P05", "unsupported Unicode escape sequence"),
        ("jsonb", "[" * 100_000, "54001", "stack depth limit exceeded"),
        ("bytea", "\\xzz", "22023", None),
        ("text[]", "a", "22P02", 'malformed array literal: "a"'),
        ("text[]", "{a", "22P02", 'malformed array literal: "{a"'),
        ("text[]", "{{a}}", "0A000", None),
        ("integer[]", "{a}", "22P02", 'invalid input syntax for type integer: "a"'),
        ("character varying(2)[]", "{abc}", "22001", "value too long for type character varying(2)"),
        ("character varying(3)", "abcd", "22001", "value too long for type character varying(3)"),
    ],
)
def test_a_bad_literal_is_refused_in_postgresqls_words(
    database: SqliteDatabase, type_name: str, text: str, sqlstate: str, message: str | None
) -> None:
    with pytest.raises(DatabaseError) as caught:
        assigned(database, type_name, text)
    assert caught.value.sqlstate == sqlstate
    assert message is None or caught.value.message == message


@pytest.mark.parametrize("type_name", ["inet", "json[]", "bit[]", "interval[]"])
def test_a_type_that_sqlite_cannot_keep_is_refused(database: SqliteDatabase, type_name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        database.stored(type_name)
    assert caught.value.sqlstate == "0A000"
    with (
        pytest.raises(DatabaseError, match="not supported on SQLite"),
        database.schema_transaction() as transaction,
    ):
        transaction.script(f"create table t (a {type_name})")


def test_a_type_that_does_not_exist_is_said_to(database: SqliteDatabase) -> None:
    with pytest.raises(DatabaseError, match='type "nope" does not exist'):
        database.stored("nope")


def test_a_utc_day_is_the_day_of_the_moment(database: SqliteDatabase) -> None:
    moment = datetime(2024, 1, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    (row,) = database.query("select :v::timestamptz::date", {"v": moment.isoformat()})
    assert row == (moment.astimezone(UTC).date().isoformat(),)


quoted = st.text(st.sampled_from('ab,"\\{} \tN'), max_size=4)
small_arrays = st.lists(st.none() | quoted, max_size=4)


@quick
@given(one=small_arrays, other=small_arrays, item=st.none() | quoted)
def test_arrays_are_compared_and_searched_as_on_postgresql(
    database: SqliteDatabase,
    postgresql: Any,
    one: list[str | None],
    other: list[str | None],
    item: str | None,
) -> None:
    def written(value: str | None) -> str:
        return "null" if value is None else "'" + value.replace("'", "''") + "'"

    left, right = (f"array[{', '.join(map(written, each))}]::text[]" for each in (one, other))
    statement = (
        f"select {left} = {right}, {left} < {right}, {left} @> {right}, {left} && {right}, {left} || {right}, "
        f"{written(item)} = any({left}), {written(item)} <> all({left}), array_position({left}, {written(item)}), "
        f"array_remove({left}, {written(item)}), {left}::text, array_to_string({left}, '-', '?')"
    )
    with postgresql.undone():
        expected = postgresql.run(statement)
    assert [as_values(row) for row in database.query(statement)] == [as_values(row) for row in expected]


def as_values(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(json.loads(cell) if isinstance(cell, str) and cell[:1] == "[" else cell for cell in row)


@quick
@given(one=documents, other=documents)
def test_jsonb_is_compared_and_joined_as_on_postgresql(
    database: SqliteDatabase, postgresql: Any, one: Any, other: Any
) -> None:
    left, right = ("'" + json.dumps(each).replace("'", "''") + "'::jsonb" for each in (one, other))
    assume("\\u0000" not in left + right)
    statement = (
        f"select {left} = {right}, {left} @> {right}, {left} || {right}, jsonb_strip_nulls({left}), "
        f"jsonb_typeof({left}), {left} #>> '{{0}}', {left}::text, jsonb_pretty({right})"
    )
    with postgresql.undone():
        (expected,) = postgresql.run(statement)
    (found,) = database.query(statement)
    assert [found[place] for place in (0, 1, 4, 5, 6, 7)] == [expected[place] for place in (0, 1, 4, 5, 6, 7)]
    assert [json.loads(found[place]) for place in (2, 3)] == [json.loads(expected[place]) for place in (2, 3)]


shallow = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "ab", "Z", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "aa"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@quick
@example(given=[{"b": 1, "aa": 2}, {"b": 2, "aa": 1}])
@example(given=[None, [], 1, "", True])
@given(given=st.lists(shallow, min_size=2, max_size=8))
def test_jsonb_is_ordered_as_on_postgresql(
    database: SqliteDatabase, postgresql: Any, given: list[Any]
) -> None:
    rows = ", ".join(f"({place}, '{json.dumps(document)}'::jsonb)" for place, document in enumerate(given))
    statement = f"select id from (values {rows}) _(id, doc) order by doc, id"
    pairs = ", ".join(f"'{json.dumps(given[0])}'::jsonb < '{json.dumps(each)}'::jsonb" for each in given)
    with postgresql.undone():
        expected = postgresql.run(statement), postgresql.run(f"select {pairs}")
    found = database.query(statement), database.query(f"select {pairs}")
    assert found == expected
