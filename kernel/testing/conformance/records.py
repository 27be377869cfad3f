"""What every `Records` must do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.queries import (
    Comparison,
    Conflict,
    Delete,
    Field,
    Insert,
    Item,
    Membership,
    Order,
    Select,
    Update,
)
from kernel.contracts.records import Records, TooManyAffected, Unsupported, Written, WrongCount
from kernel.http import NotInline
from kernel.identity import Identity
from kernel.testing.conformance.record_calls import RecordCalls
from kernel.testing.conformance.record_reads import AGE, ID, NAME, SERVICE, equal


class RecordsContract(RecordCalls):
    """Subclass it, name the class ``Test…`` and override ``kernel_options``."""

    def test_an_insert_writes_the_columns_and_returns_the_rows(self, records: Records) -> None:
        """What is not named gets its default, what a row lacks is null or with `defaults` its default."""
        rows = '[{"name":"x","active":false,"age":1},{"name":"y","age":2}]'
        returning = (Item(Field("name")), Item(Field("active")), Item(AGE), Item(Field("twice")))

        def insert(**options: Any) -> Written:
            columns = ("name", "active")
            return records.insert(Insert("people", columns, rows, 2, returning=returning, **options), SERVICE)

        written = insert()
        assert (written.count, written.inserted) == (2, True)
        found = json.loads(written.body)
        assert [(row["active"], row["age"]) for row in found] == [(False, None), (None, None)]
        assert all(isinstance(row["twice"], int) for row in found)
        assert [row["active"] for row in json.loads(insert(defaults=True).body)] == [False, True]
        assert len(self.ids(records)) == 7

    def test_an_insert_without_columns_or_rows(self, records: Records) -> None:
        """Rows of defaults, as many as there are objects; nothing where there are none."""
        self.refused("23502", records.insert, Insert("people", (), "[{}]", 1))
        assert records.insert(Insert("people", (), "[]", 0, returning=ID), SERVICE) == Written(0, b"[]")
        assert records.insert(Insert("people", ("name",), "[]", 0), SERVICE).count == 0
        assert self.ids(records) == [1, 2, 3]

    def test_numbers_keep_their_digits(self, records: Records) -> None:
        """Beyond what a double holds."""
        row = '[{"id":9007199254740993,"name":"x","paid":1234567890.10,"extra":{"n":1.10}}]'
        items = tuple(Item(Field(name)) for name in ("id", "paid", "extra"))
        insert = Insert("people", ("id", "name", "paid", "extra"), row, 1, returning=items)
        body = records.insert(insert, SERVICE).body
        assert body.replace(b" ", b"") == b'[{"id":9007199254740993,"paid":1234567890.10,"extra":{"n":1.10}}]'
        assert self.ids(records, equal("id", "9007199254740993")) == [9007199254740993]

    @pytest.mark.parametrize(
        ("row", "sqlstate"),
        [
            ('{"name":"x","email":"ann@here"}', "23505"),
            ('{"name":"x","id":1}', "23505"),
            ('{"name":null}', "23502"),
            ('{"name":"x","id":null}', "23502"),
            ('{"name":""}', "23514"),
            ('{"name":"x","team":9}', "23503"),
            ('{"name":"x","age":"old"}', "22P02"),
            ('{"name":"x","age":3000000000}', "22003"),
            ('{"name":"x","paid":12345678901.5}', "22003"),
            ('{"name":"x","twice":1}', "428C9"),
        ],
    )
    def test_a_row_that_does_not_fit_refuses_them_all(
        self, records: Records, row: str, sqlstate: str
    ) -> None:
        """With PostgreSQL's code; an update to such values as well."""
        columns = tuple(json.loads(row))
        both = Insert("people", columns, f'[{{"name":"good"}},{row}]', 2, defaults=True)
        self.refused(sqlstate, records.insert, both)
        self.refused(sqlstate, records.update, Update("people", columns, row, where=(equal("id", "2"),)))
        assert self.ids(records) == [1, 2, 3]
        assert self.ids(records, equal("name", "bob")) == [2]

    def test_an_upsert_ignores_or_merges(self, records: Records) -> None:
        """By the key or by other unique columns; it tells whether any row was new."""
        row = '{{"hall":"{}","number":{},"holder":"new"}}'.format
        columns, items = ("hall", "number", "holder"), (Item(Field("hall")), Item(Field("holder")))

        def upsert(action: Any, *rows: str) -> Written:
            conflict = Conflict(action)
            text = f"[{','.join(rows)}]"
            return records.insert(
                Insert("seats", columns, text, len(rows), conflict=conflict, returning=items), SERVICE
            )

        assert json.loads(upsert("ignore", row("A", 1), row("C", 1)).body) == [{"hall": "C", "holder": "new"}]
        merged = upsert("merge", row("A", 1))
        assert (merged.count, merged.inserted) == (1, False)
        assert upsert("merge", row("A", 1), row("D", 1)).inserted
        found = self.rows(records, Select("seats", order=(Order(Field("hall")), Order(Field("number")))))
        assert [(seat["hall"], seat["number"], seat["holder"]) for seat in found] == [
            ("A", 1, "new"),
            ("A", 2, None),
            ("B", 1, "bob"),
            ("C", 1, "new"),
            ("D", 1, "new"),
        ]

    def test_an_upsert_by_other_columns(self, records: Records) -> None:
        """Only what was written changes; the columns have to be unique and to exist."""

        def upsert(*by: str) -> Insert:
            row = '[{"name":"Anna","email":"ann@here"}]'
            return Insert("people", ("name", "email"), row, 1, conflict=Conflict("merge", by))

        assert not records.insert(upsert("email"), SERVICE).inserted
        assert self.ids(records, equal("name", "Anna"), equal("age", "30")) == [1]
        self.refused("42P10", records.insert, upsert("name"))
        self.refused("42703", records.insert, upsert("nothing"))
        self.refused("23505", records.insert, upsert())
        assert self.ids(records) == [1, 2, 3]

    def test_an_upsert_with_defaults_writes_them_over_old_rows_too(self, records: Records) -> None:
        """What a row lacks is set to the column's default, or null; the number of an old row stays."""
        rows = '[{"id":2,"name":"bob","age":1},{"name":"Ann","email":"ann@here"}]'
        columns, merge = ("id", "name", "age", "active", "email"), Conflict("merge", ("email",))
        insert = Insert("people", columns, rows, 2, conflict=merge, defaults=True)
        self.refused("23505", records.insert, insert)
        new = msgspec.structs.replace(insert, rows=rows.replace("2", "7"))
        assert records.insert(new, SERVICE).count == 2
        items = tuple(Item(Field(name)) for name in ("id", "age", "paid", "active"))
        kept = Select("people", items=items, where=(equal("email", "ann@here"),))
        assert self.rows(records, kept) == [{"id": 1, "age": None, "paid": 10.5, "active": True}]

    def test_an_update_writes_the_columns_to_the_rows_found(self, records: Records) -> None:
        """What the object lacks is null, or with `defaults` the default; other members are left out."""
        where, columns = (equal("id", "2"),), ("name", "active", "extra")
        items = tuple(Item(Field(name)) for name in ("name", "age", "active", "extra"))
        update = Update("people", columns, '{"name":"Rob","age":99}', where=where, returning=items)
        written = records.update(update, SERVICE)
        assert (written.count, json.loads(written.body)) == (
            1,
            [{"name": "Rob", "age": 17, "active": None, "extra": None}],
        )
        defaults = msgspec.structs.replace(update, defaults=True)
        (row,) = json.loads(records.update(defaults, SERVICE).body)
        assert row == {"name": "Rob", "age": 17, "active": True, "extra": {"new": [True]}}
        assert self.ids(records, equal("name", "Rob")) == [2]

    def test_an_update_that_finds_nothing_refuses_bad_values_all_the_same(self, records: Records) -> None:
        """And else changes nothing; of no columns it changes nothing either."""
        nobody = (equal("id", "99"),)
        for columns, values, sqlstate in (
            (("age",), '{"age":"old"}', "22P02"),
            (("name", "age"), '{"name":"x","age":3000000000}', "22003"),
            (("born",), '{"born":"2000-02-30"}', "22008"),
        ):
            self.refused(sqlstate, records.update, Update("people", columns, values, where=nobody))
        fine = Update("people", ("age",), '{"age":1}', where=nobody, returning=ID)
        assert records.update(fine, SERVICE) == Written(0, b"[]")
        assert records.update(Update("people", (), "{}", returning=ID), SERVICE) == Written(0, b"[]")

    def test_a_delete_returns_what_is_gone(self, records: Records) -> None:
        """Without conditions, everything."""
        gone = records.delete(Delete("people", where=(equal("id", "2"),), returning=ID), SERVICE)
        assert (gone.count, json.loads(gone.body)) == (1, [{"id": 2}])
        assert records.delete(Delete("people"), SERVICE) == Written(2)
        assert self.ids(records) == []

    def test_a_write_of_more_rows_than_allowed_changes_none(self, records: Records) -> None:
        """Neither with a most, nor where exactly one was wanted; the number is told."""
        where = (Comparison(AGE, "gt", "1"),)
        values = '{"name":"x"}'
        calls: tuple[tuple[Any, Any, Any, int], ...] = (
            (records.update, Update("people", ("name",), values, max_affected=2), TooManyAffected, 3),
            (records.delete, Delete("people", where=where, max_affected=1), TooManyAffected, 2),
            (records.update, Update("people", ("name",), values, where=where, single=True), WrongCount, 2),
            (records.delete, Delete("seats", single=True, returning=()), WrongCount, 3),
            (records.delete, Delete("empty", single=True), WrongCount, 0),
            (
                records.insert,
                Insert("people", ("name",), f"[{values},{values}]", 2, single=True),
                WrongCount,
                2,
            ),
        )
        for call, write, error, count in calls:
            with pytest.raises(error) as raised:
                call(write, SERVICE)
            assert raised.value.count == count
        assert self.ids(records, Comparison(NAME, "neq", "x")) == [1, 2, 3]
        assert len(self.rows(records, Select("seats"))) == 3
        one = Delete("seats", where=(equal("hall", "B"),), single=True, max_affected=1)
        assert records.delete(one, SERVICE).count == 1

    def test_a_view_is_written_through_or_every_kind_of_write_is_refused(self, records: Records) -> None:
        """What is written concerns the rows that it shows, and no others."""
        insert = Insert("adults", ("name",), '[{"name":"x"}]', 1)
        update, delete = Update("adults", ("name",), '{"name":"y"}'), Delete("adults")
        try:
            assert records.insert(insert, SERVICE).count == 1
        except Unsupported:
            with pytest.raises(Unsupported):
                records.update(update, SERVICE)
            with pytest.raises(Unsupported):
                records.delete(delete, SERVICE)
            assert self.ids(records, equal("name", "Ann")) == [1]
            return
        assert records.update(update, SERVICE).count == 1
        assert self.ids(records, equal("name", "y")) == [1]
        assert records.update(Update("people", ("team",), '{"team":null}'), SERVICE).count == 4
        assert records.delete(delete, SERVICE).count == 1
        assert self.ids(records) == [2, 3, 4]

    def test_what_is_done_together_happens_or_not(self, records: Records) -> None:
        """And sees what was written so far."""
        insert = Insert("people", ("name",), '[{"name":"x"}]', 1)
        with records.together(SERVICE) as together:
            together.insert(insert, SERVICE)
            assert len(self.ids(together)) == 4
            assert len(self.ids(records)) == 3
        assert len(self.ids(records)) == 4
        with pytest.raises(DatabaseError), records.together(SERVICE) as together:
            together.insert(insert, SERVICE)
            together.insert(Insert("people", ("name",), '[{"name":""}]', 1), SERVICE)
        assert len(self.ids(records)) == 4

    def test_a_changed_schema_is_seen_at_once(self, records: Records, database: Database) -> None:
        """By queries that were asked before, too."""
        query = Select("teams")
        assert self.rows(records, query) == [{"id": 1, "name": "red"}]
        with database.schema_transaction() as transaction:
            transaction.script(
                "alter table teams add column town text; create table more (id bigint primary key)"
            )
        assert self.rows(records, query) == [{"id": 1, "name": "red", "town": None}]
        assert self.rows(records, Select("more")) == []
        with database.schema_transaction() as transaction:
            transaction.script("alter table teams drop column town")
        self.refused("42703", records.read, Select("teams", where=(equal("town", "x"),)))

    @pytest.mark.parametrize("identity", [None, Identity("anon"), Identity("authenticated", "someone")])
    def test_who_was_granted_nothing_gets_nothing(self, records: Records, identity: Identity | None) -> None:
        """Refused (42501), and nothing is changed."""
        calls: tuple[tuple[Any, Any], ...] = (
            (records.read, Select("people")),
            (records.insert, Insert("people", ("name",), '[{"name":"x"}]', 1)),
            (records.update, Update("people", ("name",), '{"name":"x"}')),
            (records.delete, Delete("people")),
        )
        for call, query in calls:
            with pytest.raises(DatabaseError) as raised:
                call(query, identity)
            assert raised.value.sqlstate == "42501"
        with pytest.raises(DatabaseError) as raised:
            records.table("people", "public", identity)
        assert raised.value.sqlstate == "42501"
        assert self.ids(records, Comparison(NAME, "neq", "x")) == [1, 2, 3]

    def test_thousands_of_rows_are_written_and_read_at_once(self, records: Records) -> None:
        """Inline, a read of as many answers or asks to be run in a thread."""
        rows = json.dumps([{"id": number} for number in range(10_000)])
        written = records.insert(Insert("empty", ("id",), rows, 10_000, returning=ID), SERVICE)
        assert (written.count, len(json.loads(written.body))) == (10_000, 10_000)
        among = tuple(str(number) for number in range(0, 10_000, 2))
        assert len(self.rows(records, Select("empty", where=(Membership(Field("id"), among),)))) == 5_000
        try:
            page = records.read(Select("empty"), SERVICE, inline=True)
        except NotInline:
            page = records.read(Select("empty"), SERVICE)
        assert (page.count, json.loads(page.body)[-1:]) == (10_000, [{"id": 9_999}])

    def test_threads_ask_at_the_same_time(self, records: Records) -> None:
        """Queries of one shape with different values get each their own answer."""

        def ask(number: int) -> list[int]:
            return self.ids(records, equal("id", str(number % 4)))

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(ask, range(200)))
        assert found == [[number % 4] if number % 4 else [] for number in range(200)]
