"""Related rows and aggregates in a selection, and the parameters that concern them."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.queries import (
    Aggregate,
    Comparison,
    Embed,
    Field,
    Is,
    Item,
    Logic,
    Order,
    Selected,
    Step,
)
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query, QueryParser
from plugins.rest.language.selection import MAX_EMBEDS, Selection

ID, NAME = Item(Field("id")), Item(Field("name"))
EVERYTHING = Selection(aggregates=True, embedding_depth=10)


def parse(text: str) -> Query:
    return QueryParser(EVERYTHING).parse(text).query


def embed(relation: str, *items: Selected, **options: Any) -> Embed:
    return Embed(relation, items=items, **options)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("clients(*)", embed("clients", Item())),
        (" clients( id , name ) ", embed("clients", ID, NAME)),
        ("c:clients(id)", embed("clients", ID, alias="c")),
        ("clients!fk(id)", embed("clients", ID, hint="fk")),
        ("clients!inner(id)", embed("clients", ID, inner=True)),
        ("clients!left(id)", embed("clients", ID)),
        ("clients!fk!inner(id)", embed("clients", ID, hint="fk", inner=True)),
        ("c:clients!inner!fk(id)", embed("clients", ID, alias="c", hint="fk", inner=True)),
        ("clients!innermost(id)", embed("clients", ID, hint="innermost")),
        ("clients()", embed("clients")),
        ("clients( )", embed("clients")),
        ("...clients(id)", embed("clients", ID, spread=True)),
        ("...clients!fk!inner(id)", embed("clients", ID, spread=True, hint="fk", inner=True)),
        ('"a b(c":"d,e"!"f g"(id)', embed("d,e", ID, alias="a b(c", hint="f g")),
        ("a(b(c(id),id),name)", embed("a", embed("b", embed("c", ID), ID), NAME)),
        ("a(m->k->>0,n:b->x::text)", embed(
            "a",
            Item(Field("m", (Step("k"), Step(0, as_text=True)))),
            Item(Field("b", (Step("x"),)), "n", "text"),
        )),
        ("count()", Aggregate("count")),
        ("n:count()::text", Aggregate("count", alias="n", result_cast="text")),
        ("id.sum()", Aggregate("sum", Field("id"))),
        ("s:m->x::int.max()::text", Aggregate("max", Field("m", (Step("x"),)), "s", "int", "text")),
        ("id.count()", Aggregate("count", Field("id"))),
        ("count", Item(Field("count"))),
        ("a(id.avg())", embed("a", Aggregate("avg", Field("id")))),
    ],
)  # fmt: skip
def test_select(text: str, item: Selected) -> None:
    assert parse(f"select=id,{text},name").items == (ID, item, NAME)


def test_parameters_find_the_rows_that_they_concern() -> None:
    (found,) = parse(
        "select=c:clients(*,projects(id))&c.name=eq.x&c.or=(id.gt.1,name.is.null)&c.not.and=(id.eq.2)"
        "&c.order=name.desc&c.limit=3&c.offset=2&c.projects.id=gt.5&c.projects.limit=1"
    ).items
    assert found == embed(
        "clients",
        Item(),
        embed("projects", ID, where=(Comparison(Field("id"), "gt", "5"),), limit=1),
        alias="c",
        where=(
            Comparison(Field("name"), "eq", "x"),
            Logic("or", (Comparison(Field("id"), "gt", "1"), Is(Field("name"), "null"))),
            Logic("and", (Comparison(Field("id"), "eq", "2"),), negated=True),
        ),
        order=(Order(Field("name"), descending=True),),
        limit=3,
        offset=2,
    )


def test_an_embed_s_name_goes_before_that_of_its_table() -> None:
    first, second = parse("select=work:visits(id),visits(id)&visits.id=eq.1&work.id=eq.2").items
    assert first == embed("visits", ID, alias="work", where=(Comparison(Field("id"), "eq", "2"),))
    assert second == embed("visits", ID, where=(Comparison(Field("id"), "eq", "1"),))


def test_the_table_s_name_will_do_for_an_embed_with_another() -> None:
    assert (
        parse("select=c:clients(id)&clients.id=eq.1").items == parse("select=c:clients(id)&c.id=eq.1").items
    )


def test_whether_there_are_related_rows_is_a_condition_of_its_parent() -> None:
    assert parse("select=id,clients()&clients=not.is.null").where == (Is(Field("clients"), "null", True),)


def test_an_order_by_a_related_row() -> None:
    assert parse('order=clients(m->>k).desc.nullslast,"a b"(x),id').order == (
        Order(Field("m", (Step("k", as_text=True),)), True, "last", "clients"),
        Order(Field("x"), related="a b"),
        Order(Field("id")),
    )


def test_each_level_of_a_read_is_cut_off_and_none_of_a_write() -> None:
    parser = QueryParser(EVERYTHING, max_rows=10)
    text = "select=id,a(b(id),id),c(id)&a.limit=3&a.b.limit=30&a.offset=1"
    assert parser.parse(text).query.items == (
        ID,
        embed("a", embed("b", ID, limit=10), ID, limit=3, offset=1),
        embed("c", ID, limit=10),
    )
    assert parser.parse_write(text).query.items == (ID, embed("a", embed("b", ID), ID), embed("c", ID))


def test_the_same_text_is_parsed_once() -> None:
    parser = QueryParser()
    text = "select=id,a(b(id))&a.b.id=eq.1"
    assert parser.parse(text) is parser.parse(text)
    assert parser.parse_write(text) is parser.parse_write(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("clients.name=eq.x", "clients"),
        ("select=clients(id)&client.name=eq.x", "client"),
        ("select=clients(id)&clients.projects.limit=1", "projects"),
        ("select=clients(id)&projects.order=id", "projects"),
        ("select=clients(id)&projects.not.or=(id.eq.1)", "projects"),
    ],
)
def test_a_parameter_for_what_is_not_embedded_is_refused(text: str, name: str) -> None:
    with pytest.raises(RestError) as caught:
        parse(text)
    error = caught.value
    assert (error.status, error.code) == (400, "PGRST108")
    assert error.message == f"'{name}' is not an embedded resource in this request"
    assert error.hint == f"Verify that '{name}' is included in the 'select' query parameter."


@pytest.mark.parametrize("text", ["count()", "id.sum()", "a(n:count())", "...a(id.max())"])
def test_aggregates_are_off_unless_they_are_allowed(text: str) -> None:
    assert parse(f"select={text}")
    with pytest.raises(RestError) as caught:
        QueryParser().parse(f"select={text}")
    error = caught.value
    assert (error.status, error.code, error.details) == (400, "PGRST123", None)


def test_related_rows_nest_no_deeper_than_is_set() -> None:
    parser = QueryParser(Selection(embedding_depth=3))
    assert parser.parse("select=a(b(c(id)))").query.items
    for depth in (4, 50, 100_000):
        with pytest.raises(RestError, match="nest at most 3 deep"):
            parser.parse(f"select={'a(' * depth}id{')' * depth}")


def test_a_selection_holds_no_more_related_tables_than_can_be_joined() -> None:
    most = ",".join(f"x{number}:a(id)" for number in range(MAX_EMBEDS - 1))
    assert parse(f"select={most},a(id)")
    with pytest.raises(RestError, match=f"at most {MAX_EMBEDS} related"):
        parse(f"select={most},a(b(id))")


def test_a_limit_below_zero_is_refused_for_related_rows_too() -> None:
    with pytest.raises(RestError) as caught:
        parse("select=a(id)&a.limit=-1")
    assert (caught.value.status, caught.value.code) == (416, "PGRST103")
