"""The contract, over a database: one cached statement a shape, names from the catalogue, values bound."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import Compiled, Database, DatabaseError
from kernel.contracts.queries import (
    Comparison,
    Conflict,
    Delete,
    Field,
    Insert,
    Is,
    Item,
    Membership,
    Order,
    Select,
    Step,
    Update,
)
from kernel.contracts.records import (
    Records,
    TooManyAffected,
    UnknownColumn,
    UnknownTable,
    WrongCount,
)
from kernel.http import NotInline
from kernel.identity import Identity

SERVICE = Identity("service_role")
ID = (Item(Field("id")),)


class Watched:
    """A database that notes the statements it is asked to run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seen: list[tuple[Compiled, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def query(self, statement: Compiled, params: Any, **options: Any) -> Any:
        self.seen.append((statement, params))
        return self._database.query(statement, params, **options)


@pytest.fixture
def watched(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
def over(records_kernel: Any, watched: Watched) -> Records:
    from plugins.records.hooks import WriteHooks
    from plugins.records.plans import Plans
    from plugins.records.procedures import Procedures
    from plugins.records.service import TableRecords

    return TableRecords(watched, Plans(5), WriteHooks(records_kernel.hooks), Procedures())


def equal(column: str, value: str) -> tuple[Comparison, ...]:
    return (Comparison(Field(column), "eq", value),)


def test_a_read_is_one_statement_with_its_values_bound(over: Records, watched: Watched) -> None:
    page = over.read(Select("items", where=equal("name", "o'ne"), items=ID, counted=True, limit=1), SERVICE)
    assert (page.body, page.count, page.total) == (b"[]", 0, 0)
    ((statement, params),) = watched.seen
    assert "o'ne" not in statement.sql
    assert params == {"v0": "o'ne"}


def test_queries_of_one_shape_share_a_statement(over: Records, watched: Watched) -> None:
    for value, offset in (("one", 1), ("two", 7)):
        over.read(Select("items", where=equal("name", value), limit=30, offset=offset), SERVICE)
    assert watched.seen[0][0] is watched.seen[1][0]


def test_each_part_of_the_shape_makes_another_statement(over: Records, watched: Watched) -> None:
    queries = [
        Select("items", items=ID),
        Select("items", items=(Item(Field("id"), "alias"),)),
        Select("items", items=(Item(Field("id"), cast="text"),)),
        Select("items", items=ID, order=(Order(Field("id")),)),
        Select("items", items=ID, order=(Order(Field("id"), descending=True),)),
        Select("items", items=ID, order=(Order(Field("name"), nulls="first"),)),
        Select("items", items=ID, limit=1),
        Select("items", items=ID, limit=1, counted=True),
        Select("items", items=ID, where=(Is(Field("id"), "null"),)),
    ]
    for query in queries:
        over.read(query, SERVICE)
    statements = [(statement.sql, tuple(sorted(params.items()))) for statement, params in watched.seen]
    assert len(set(statements)) == len(queries)


def test_a_changed_schema_drops_the_plans(over: Records, database: Database) -> None:
    query = Select("items", where=equal("id", "1"))
    assert b"extra" not in over.read(query, SERVICE).body
    with database.schema_transaction() as transaction:
        transaction.script("alter table items add column extra text")
    assert b'"extra":null' in over.read(query, SERVICE).body


def test_an_alias_is_quoted(over: Records, watched: Watched) -> None:
    query = Select(
        "items", items=(Item(Field("id"), "x', 1); --"), Item(Field("id"), "name")), where=equal("id", "1")
    )
    assert over.read(query, SERVICE).body == b"""[{"x', 1); --":1,"name":1}]"""


def test_no_column_hides_another_name_in_the_statement(records: Records) -> None:
    where = (Membership(Field("value"), ("2",)), Comparison(Field("key"), "eq", "{a,b}", quantifier="any"))
    page = records.read(Select("each", where=where), SERVICE)
    assert page.body == b'[{"value":2,"key":"b","json":null}]'
    assert records.delete(Delete("each", where=where), SERVICE).count == 1


def test_a_path_into_json(records: Records) -> None:
    field = Field("meta", (Step("k"), Step(-1)))
    page = records.read(Select("items", items=(Item(field),), where=equal("id", "1")), SERVICE)
    assert page.body == b'[{"k":2}]'


@pytest.mark.parametrize("identity", [None, Identity("anon"), Identity("authenticated", "someone")])
def test_who_was_granted_nothing_is_told_what_to_grant(records: Records, identity: Identity | None) -> None:
    calls = [
        lambda: records.read(Select("items"), identity),
        lambda: records.insert(Insert("items", ("name",), '[{"name":"x"}]', 1), identity),
        lambda: records.update(Update("items", ("name",), '{"name":"x"}'), identity),
        lambda: records.delete(Delete("items"), identity),
    ]
    for call in calls:
        with pytest.raises(DatabaseError) as caught:
            call()
        assert caught.value.sqlstate == "42501"
        assert str(caught.value.hint).startswith("To allow it: grant ")
        assert f" on public.items to {identity.role if identity else 'anon'};" in str(caught.value.hint)
    with pytest.raises(DatabaseError) as caught:
        records.table("items", "public", identity)
    assert caught.value.sqlstate == "42501"
    assert records.read(Select("items"), SERVICE).count == 3


def test_unknown_names(records: Records) -> None:
    with pytest.raises(UnknownTable) as table:
        records.read(Select("item"), SERVICE)
    assert table.value.suggestion == "items"
    with pytest.raises(UnknownTable) as schema:
        records.read(Select("items", "secret"), SERVICE)
    assert schema.value.suggestion is None
    with pytest.raises(UnknownColumn):
        records.insert(Insert("items", ("nope",), '[{"nope":1}]', 1), SERVICE)
    with pytest.raises(DatabaseError, match=r"column items\.nope does not exist"):
        records.delete(Delete("items", where=equal("nope", "1")), SERVICE)


def test_generated_columns_are_not_written(records: Records) -> None:
    with pytest.raises(DatabaseError) as caught:
        records.update(Update("items", ("double",), '{"double":1}'), SERVICE)
    assert caught.value.sqlstate == "428C9"


def test_a_write_that_is_too_large_or_not_single_changes_nothing(records: Records) -> None:
    with pytest.raises(TooManyAffected) as most:
        records.delete(Delete("items", max_affected=2), SERVICE)
    assert most.value.count == 3
    with pytest.raises(WrongCount) as single:
        records.update(Update("items", ("name",), '{"name":"x"}', single=True, returning=ID), SERVICE)
    assert single.value.count == 3
    page = records.read(Select("items", where=equal("name", "x")), SERVICE)
    assert (page.count, records.read(Select("items"), SERVICE).count) == (0, 3)


def test_an_upsert_tells_whether_a_row_was_new(records: Records) -> None:
    def upsert(rows: str, size: int, *, by: tuple[str, ...] = ()) -> bool:
        insert = Insert("items", ("id", "name", "code"), rows, size, conflict=Conflict("merge", by))
        return records.insert(insert, SERVICE).inserted

    old, new = '{"id":1,"name":"a","code":"A"}', '{"id":9,"name":"b","code":"Z"}'
    assert not upsert(f"[{old}]", 1)
    assert upsert(f"[{old},{new}]", 2)
    assert not upsert(f"[{old},{new}]", 2)
    assert not upsert('[{"id":1,"name":"c","code":"A"}]', 1, by=("code",))


def test_an_inline_read_that_grows_too_large_is_handed_on(records: Records, database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute(
            "insert into items (name) select 'n' from generate_series(1, 20000)"
            if database.engine == "postgresql"
            else Compiled(
                "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) "
                "insert into items (name) select 'n' from n"
            )
        )
    with pytest.raises(NotInline):
        records.read(Select("items"), SERVICE, inline=True)
    assert records.read(Select("items"), SERVICE).count == 20003
