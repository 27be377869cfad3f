from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

import pytest

from kernel.contracts.catalogue import Column, ForeignKey, Table
from kernel.contracts.database import Database
from plugins.rest.greeting import commands, sample


def table(name: str, *columns: Column, **more: Any) -> Table:
    return Table(
        "public", name, more.pop("kind", "table"), {column.name: column for column in columns}, **more
    )


KEY = Column("id", "bigint", nullable=False, identity=True, generated=True)
BODY = Column("body", "text", nullable=False)
AWAY = ForeignKey("away", ("id",), "public", "other", ("id",))


def test_every_row_that_is_made_up_can_be_created(api: Any) -> None:
    catalogue = api.client.kernel.services[Database].catalogue
    rows = {each.name: sample(each) for each in catalogue.tables.values() if each.schema == "public"}
    made = {name: row for name, row in rows.items() if row is not None}
    assert {"clients", "pairs", "notes"} <= made.keys()
    assert rows["items"] is None
    with api.database.transaction() as transaction:
        transaction.script(
            """delete from items; delete from clients; delete from pairs; delete from "odd ""table'" """
        )
    for name, row in made.items():
        api.post(quote(name, safe=""), json=row).expect(201)


@pytest.mark.parametrize(
    "given",
    [
        table("view", BODY, kind="view"),
        table("bound", BODY, foreign_keys=(AWAY,)),
        table("odd", Column("place", "point", nullable=False)),
    ],
)
def test_no_row_is_made_up_where_that_takes_more_than_a_word(given: Table) -> None:
    assert sample(given) is None
    (read,) = commands("http://here/rest/v1", "key", [given])
    assert shlex.split(read) == ["curl", f"http://here/rest/v1/{given.name}?limit=10", "-H", "apikey: key"]


def test_the_table_that_a_row_can_be_made_up_for_comes_first() -> None:
    tables = [table("a view", BODY, kind="view"), table("it's", KEY, BODY)]
    create, read = (shlex.split(line) for line in commands("http://here", "key", tables))
    assert create[1] == "http://here/it%27s"
    assert json.loads(create[-1]) == {"body": "Hello"}
    assert read[1] == "http://here/it%27s?limit=10"


def test_without_tables_there_is_nothing_to_try() -> None:
    assert list(commands("http://here", "key", [])) == []
