"""Random query trees, of related rows, aggregates and searches, are answered alike by both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.queries import (
    Aggregate,
    Comparison,
    Condition,
    Embed,
    Field,
    Is,
    Item,
    Logic,
    Membership,
    Order,
    Search,
    Select,
    Selected,
    Step,
)
from kernel.contracts.records import Records, RecordsError, Unsupported
from kernel.identity import Identity
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin

SERVICE = Identity("service_role")

SCHEMA = """
create table authors (id integer primary key, name text not null, born date, score numeric(6, 2), bio text);
create table books (
    id integer primary key, author integer references authors (id), title text, pages integer,
    rating double precision, out timestamptz, doc jsonb
);
create table labels (id integer primary key, label text);
create table marks (
    book integer references books (id), label integer references labels (id), primary key (book, label)
);
insert into authors values
    (1, 'Ann', '1970-02-01', 1.50, 'Writes quickly about running foxes'),
    (2, 'Bob', null, null, 'A fox, lazy dogs; and cats'), (3, 'Ánna', '1970-02-01', -3, ''),
    (4, 'bob', '2000-12-31', 1.5, null), (5, 'Zed', null, 9999.99, 'the of and');
insert into books
    select i, nullif(1 + i % 5, 5), case when i % 4 > 0 then 'Title ' || i % 3 end,
        case when i % 3 > 0 then i * 7 % 5 end, case when i % 5 > 0 then i / 4.0 end,
        case when i % 2 > 0 then timestamptz '2024-01-01 00:00:00+00' end,
        case i % 4
            when 0 then null when 1 then '{"k": "v", "n": [1, 2.50]}' when 2 then '{"k": null}' else '{}'
        end::jsonb
    from generate_series(1, 17) as s(i);
insert into labels values (1, 'red'), (2, 'blue'), (3, null), (4, 'red');
insert into marks select b, l from generate_series(1, 17) as s(b), generate_series(1, 4) as t(l) where (b + l) % 3 = 0;
"""

COLUMNS = {
    "authors": ("id", "name", "born", "score", "bio"),
    "books": ("id", "author", "title", "pages", "rating", "out"),
    "labels": ("id", "label"),
}
# What is related, and whether to one.
RELATIONS = {
    "authors": (("books", False),),
    "books": (("authors", True), ("labels", False)),
    "labels": (("books", False),),
}
VALUES = {
    "id": ("1", "3", "17", "0"), "author": ("1", "4", "9"), "pages": ("0", "3", "-1"), "rating": ("0.25", "1e1", "-1"),
    "score": ("1.5", "1.50", "-3", "9999.99"), "born": ("1970-02-01", "2000-12-31"), "name": ("Bob", "bob", "Ánna", ""),
    "title": ("Title 1", "Title", "title 0"), "label": ("red", "blue", "x"), "bio": ("", "A fox"),
    "out": ("2024-01-01", "2024-01-01T01:00:00+01:00", "1999-01-01T00:00:00Z"),
}  # fmt: skip
TEXTS = ("name", "title", "label", "bio")
NUMBERS = ("id", "author", "pages", "rating", "score")
WORDS = ("fox", "foxes", "run", "lazy", "dog", "cats", "the", "quick", "write", "title", "1")


@pytest.fixture(scope="module")
def both(
    kernel_factory: Any, make_postgresql_database: Callable[[], str]
) -> Iterator[tuple[Records, Records]]:
    """The records of either engine, with the same rows."""
    kernels = []
    for url in ("sqlite:///:memory:", make_postgresql_database()):
        kernel = kernel_factory(plugins=[DatabasePlugin, RecordsPlugin], settings={"database": {"url": url}})
        with kernel.services[Database].schema_transaction() as transaction:
            transaction.script(SCHEMA)
        kernels.append(kernel)
    yield kernels[0].services[Records], kernels[1].services[Records]
    for kernel in kernels:
        kernel.stop()


def comparisons(table: str) -> st.SearchStrategy[Condition]:
    columns = st.sampled_from(COLUMNS[table])
    compared = columns.flatmap(
        lambda column: st.builds(
            Comparison,
            st.just(Field(column)),
            st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte", "isdistinct"]),
            st.sampled_from(VALUES[column]),
            st.booleans(),
        )
    )
    listed = columns.flatmap(
        lambda column: st.builds(
            Membership,
            st.just(Field(column)),
            st.lists(st.sampled_from(VALUES[column]), max_size=3).map(tuple),
            st.booleans(),
        )
    )
    nothing = st.builds(Is, columns.map(Field), st.sampled_from(["null", "not_null"]), st.booleans())
    liked = st.builds(
        Comparison,
        st.sampled_from([Field(name) for name in COLUMNS[table] if name in TEXTS]),
        st.sampled_from(["like", "ilike", "match", "imatch"]),
        st.sampled_from(["%o%", "T%", "_ob", "b", "", "^.$"]),
        st.booleans(),
    )
    return st.one_of(compared, listed, nothing, liked, searches(table))


def searches(table: str) -> st.SearchStrategy[Condition]:
    words = st.sampled_from(WORDS)
    several = st.lists(words, min_size=1, max_size=3)
    query = st.one_of(
        st.tuples(st.just("plfts"), several.map(" ".join)),
        st.tuples(st.just("phfts"), several.map(" ".join)),
        st.tuples(st.just("fts"), several.map(" & ".join)),
        st.tuples(st.just("fts"), several.map(" | !".join)),
        st.tuples(st.just("fts"), words.map(lambda word: f"{word[:3]}:*")),
        st.tuples(st.just("wfts"), several.map(" or ".join)),
        st.tuples(st.just("wfts"), st.tuples(words, words).map(lambda two: f'"{two[0]}" -{two[1]}')),
    )
    fields = st.sampled_from([Field(name) for name in COLUMNS[table] if name in TEXTS])
    return st.tuples(fields, query, st.sampled_from(["english", "simple"]), st.booleans()).map(
        lambda given: Search(given[0], given[1][0], given[1][1], given[2], given[3])  # type: ignore[arg-type]
    )


def conditions(table: str, embedded: tuple[str, ...] = ()) -> st.SearchStrategy[tuple[Condition, ...]]:
    leaves = comparisons(table)
    if embedded:
        about = st.builds(Is, st.sampled_from(embedded).map(Field), st.sampled_from(["null", "not_null"]))
        leaves = st.one_of(leaves, about)
    tree = st.recursive(
        leaves,
        lambda inner: st.builds(
            Logic,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        max_leaves=4,
    )
    return st.lists(tree, max_size=2).map(tuple)


def orders(table: str) -> st.SearchStrategy[tuple[Order, ...]]:
    """Orders that the key makes total."""
    term = st.builds(
        Order,
        st.sampled_from([name for name in COLUMNS[table] if name not in TEXTS]).map(Field),
        st.booleans(),
        st.sampled_from([None, "first", "last"]),
    )
    unique = st.lists(term, max_size=2, unique_by=lambda one: one.field.column)
    return unique.map(lambda terms: (*terms, Order(Field("id"))))


def plain_items(table: str) -> st.SearchStrategy[list[Selected]]:
    columns = st.sampled_from(COLUMNS[table])
    kinds = [st.just(Item()), columns.map(lambda name: Item(Field(name)))]
    kinds.append(columns.map(lambda name: Item(Field(name), cast="text")))
    if table == "books":
        paths = st.sampled_from(
            [(Step("k"),), (Step("k", True),), (Step("n"), Step(1)), (Step("n"), Step(-2, True))]
        )
        kinds.append(paths.map(lambda path: Item(Field("doc", path))))
    return st.lists(st.one_of(kinds), max_size=3)


def aggregates(table: str) -> st.SearchStrategy[Aggregate]:
    numbers = [name for name in COLUMNS[table] if name in NUMBERS]
    columns = st.sampled_from(COLUMNS[table]).map(Field)
    return st.one_of(
        st.just(Aggregate("count")),
        st.builds(Aggregate, st.just("count"), columns),
        st.builds(Aggregate, st.sampled_from(["sum", "avg", "max", "min"]), st.sampled_from(numbers).map(Field)),
        st.builds(Aggregate, st.sampled_from(["max", "min"]), columns),
        st.builds(
            Aggregate, st.just("sum"), st.sampled_from(numbers).map(Field), cast=st.just("numeric"),
            result_cast=st.just("text"),
        ),
    )  # fmt: skip


@st.composite
def selections(draw: Any, table: str, depth: int, *, grouped: bool | None = None) -> tuple[Selected, ...]:
    """Selections whose members have names of their own; `grouped` decides on aggregates, None draws it."""
    items: list[Selected] = draw(plain_items(table))
    if grouped is None:
        grouped = draw(st.integers(0, 3)) == 0
    if grouped:
        items = [item for item in items if item != Item()] + draw(
            st.lists(aggregates(table), min_size=1, max_size=2)
        )
    if depth:
        for relation, to_one in RELATIONS[table]:
            if draw(st.booleans()):
                items.append(draw(embeds(relation, to_one, depth - 1)))
    named = [
        item if item == Item() else msgspec.structs.replace(item, alias=f"m{place}")  # type: ignore[type-var]
        for place, item in enumerate(items)
    ]
    return tuple(named) or (Item(),)


@st.composite
def embeds(draw: Any, relation: str, to_one: bool, depth: int) -> Embed:
    spread = draw(st.integers(0, 4)) == 0
    items = draw(selections(relation, depth, grouped=False if spread else None))
    if spread:
        if not to_one:  # what is spread of many has to be spread flat
            items = tuple(item for item in items if isinstance(item, Item) and item != Item()) or (
                Item(Field("id"), "i"),
            )
        items = tuple(
            item if item == Item() else msgspec.structs.replace(item, alias=f"{relation}_{item.alias}")
            for item in items
        )  # fmt: skip
    grouped = any(isinstance(item, Aggregate) for item in items)
    return Embed(
        relation,
        items=items,
        where=draw(conditions(relation)),
        order=() if grouped else draw(orders(relation)),
        limit=None if grouped or to_one else draw(st.sampled_from([None, None, 0, 2])),
        offset=0 if grouped or to_one else draw(st.sampled_from([0, 0, 1])),
        inner=draw(st.integers(0, 4)) == 0,
        spread=spread,
    )


@st.composite
def queries(draw: Any) -> Select:
    table = draw(st.sampled_from(sorted(COLUMNS)))
    items = draw(selections(table, 2))
    grouped = any(isinstance(item, Aggregate) for item in items)
    embedded = tuple(item.alias or item.relation for item in items if isinstance(item, Embed))
    distinct = not grouped and draw(st.integers(0, 9)) == 0
    total = not (grouped or distinct)
    return Select(
        table,
        items=items,
        where=draw(conditions(table, embedded)),
        order=draw(orders(table)) if total else (),
        limit=draw(st.sampled_from([None, None, 0, 3])) if total else None,
        offset=draw(st.sampled_from([0, 0, 2])) if total else 0,
        counted=draw(st.booleans()),
        distinct=distinct,
    )


_decode = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode


def answered(records: Records, query: Select) -> Any:
    try:
        page = records.read(query, SERVICE)
    except Unsupported as error:
        return "unsupported", str(error)
    except RecordsError as error:
        return type(error).__name__
    except DatabaseError as error:
        return error.sqlstate
    return page.count, page.total, canonical(_decode(page.body), query.items, ordered=bool(query.order))


def canonical(rows: list[Any], items: tuple[Selected, ...], *, ordered: bool) -> list[Any]:
    """Return rows with numbers in one form, and sorted where they have no order of their own, as groups."""
    found = [canonical_row(row, items) for row in rows]
    return found if ordered else sorted(found, key=lambda one: msgspec.json.encode(one, order="sorted"))


def canonical_row(row: dict[str, Any], items: tuple[Selected, ...]) -> dict[str, Any]:
    embeds = {item.alias: item for item in items if isinstance(item, Embed) and not item.spread}
    return {name: canonical_member(member, embeds.get(name)) for name, member in row.items()}


def canonical_member(member: Any, embed: Embed | None) -> Any:
    if embed is not None and isinstance(member, list):
        return canonical(member, embed.items, ordered=bool(embed.order))
    if embed is not None and isinstance(member, dict):
        return canonical_row(member, embed.items)
    if isinstance(member, list):
        return [canonical_member(one, None) for one in member]
    return member.normalize() if isinstance(member, Decimal) else member


def compare(both: tuple[Records, Records], query: Select) -> None:
    note(repr(query))
    ours, theirs = (answered(records, query) for records in both)
    if isinstance(ours, tuple) and ours[0] == "unsupported" and theirs != ours:
        pytest.fail(f"only PostgreSQL answers: {ours[1]}")
    event(theirs if isinstance(theirs, str) else "rows" if theirs[0] else "no rows")
    assert ours == theirs


HEALTH = list(HealthCheck)


@given(query=queries())
@settings(max_examples=150, deadline=None, suppress_health_check=HEALTH)
def test_random_queries_are_answered_alike(both: tuple[Records, Records], query: Select) -> None:
    compare(both, query)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(query=queries())
@settings(max_examples=1_000, deadline=None, suppress_health_check=HEALTH)
def test_many_random_queries_are_answered_alike(both: tuple[Records, Records], query: Select) -> None:
    compare(both, query)
