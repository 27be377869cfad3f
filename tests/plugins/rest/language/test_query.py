"""What a query string means."""

from __future__ import annotations

import pytest

from kernel.contracts.queries import Comparison, Field, Is, Item, Logic, Membership, Order, Search, Step
from plugins.rest.errors import RestError
from plugins.rest.language.query import MAX_PARAMETERS, Query, QueryParser


def parse(text: str) -> Query:
    return QueryParser().parse(text).query


def test_nothing_asks_for_everything() -> None:
    assert parse("") == Query()


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("*", (Item(),)),
        ("", (Item(),)),
        ("id, name ", (Item(Field("id")), Item(Field("name")))),
        ("n:name", (Item(Field("name"), "n"),)),
        ("name::text", (Item(Field("name"), cast="text"),)),
        ("n:name::character varying", (Item(Field("name"), "n", "character varying"),)),
        ('"a,b":"c.d"', (Item(Field("c.d"), "a,b"),)),
        (r'"a\"b"', (Item(Field('a"b')),)),
        (
            "with space,with-dash,$,_,1",
            tuple(Item(Field(n)) for n in ("with space", "with-dash", "$", "_", "1")),
        ),
        ("m->a", (Item(Field("m", (Step("a"),))),)),
        ("m->a->0->>b", (Item(Field("m", (Step("a"), Step(0), Step("b", as_text=True)))),)),
        (
            "m->-1,x:m->>a-b::int",
            (Item(Field("m", (Step(-1),))), Item(Field("m", (Step("a-b", True),)), "x", "int")),
        ),
        ("m->1a", (Item(Field("m", (Step("1a"),))),)),
        ("m->!@#$%25^%26*_d", (Item(Field("m", (Step("!@#$%^&*_d"),))),)),
        ('m->"a.b"', (Item(Field("m", (Step("a.b"),))),)),
    ],
)
def test_select(text: str, items: tuple[Item, ...]) -> None:
    assert parse(f"select={text}").items == items


@pytest.mark.parametrize(
    "operator",
    [
        "eq",
        "neq",
        "gt",
        "gte",
        "lt",
        "lte",
        "isdistinct",
        "match",
        "imatch",
        "cs",
        "cd",
        "ov",
        "sl",
        "sr",
        "nxr",
        "nxl",
        "adj",
    ],
)
def test_plain_operators_take_the_rest_as_it_is(operator: str) -> None:
    assert parse(f'a={operator}."x",(y).z').where == (Comparison(Field("a"), operator, '"x",(y).z'),)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("a=not.eq.1", Comparison(Field("a"), "eq", "1", True)),
        ("a=eq.", Comparison(Field("a"), "eq", "")),
        ("a=like.x*y", Comparison(Field("a"), "like", "x%y")),
        ("a=ilike(any).{x*,y}", Comparison(Field("a"), "ilike", "{x%,y}", quantifier="any")),
        ("a=not.gt(all).{1,2}", Comparison(Field("a"), "gt", "{1,2}", True, "all")),
        ("a=match.^x", Comparison(Field("a"), "match", "^x")),
        ("a=in.(1,2)", Membership(Field("a"), ("1", "2"))),
        ("a=in.()", Membership(Field("a"), ())),
        ('a=not.in.( "x,y" , b"c )', Membership(Field("a"), ('"x', 'y" ', ' b"c '), True)),
        ('a=in.("x,y","z\\"w",v)', Membership(Field("a"), ("x,y", 'z"w', "v"))),
        ("a=not.cs.{1}", Comparison(Field("a"), "cs", "{1}", True)),
        ("a=imatch(all).{x,y}", Comparison(Field("a"), "imatch", "{x,y}", quantifier="all")),
        ("a=fts.x&y", Search(Field("a"), "fts", "x")),
        ("a=plfts.x y", Search(Field("a"), "plfts", "x y")),
        ("a=not.wfts(english).x", Search(Field("a"), "wfts", "x", "english", True)),
        ("a=phfts( german ).x", Search(Field("a"), "phfts", "x", "german")),
        ("or=(a.fts(english).x)", Logic("or", (Search(Field("a"), "fts", "x", "english"),))),
        ("or=(a.cs.{1,2})", Logic("or", (Comparison(Field("a"), "cs", "{1,2}"),))),
        ("a=is.NULL", Is(Field("a"), "null")),
        ("a=not.is.not_null", Is(Field("a"), "not_null", True)),
        ("m->>k=eq.1", Comparison(Field("m", (Step("k", True),)), "eq", "1")),
        ('"a.b"=eq.1', Comparison(Field("a.b"), "eq", "1")),
        ("a=eq.x+y%20z%2B", Comparison(Field("a"), "eq", "x y z+")),
    ],
)
def test_filters(text: str, condition: object) -> None:
    assert parse(text).where == (condition,)


def test_filters_and_trees_keep_their_order_and_are_all_kept() -> None:
    where = parse("a=gt.1&or=(b.eq.1,c.is.null)&a=lt.5").where
    assert [type(condition) for condition in where] == [Comparison, Logic, Comparison]


def test_logic_trees_nest() -> None:
    found = parse(
        'not.and=(a.eq."x,y",or(b.in.(1,"2,3"),c.gt(any).{1,2}),not.or(d.is.true,m->>k.not.eq.z))'
    ).where
    assert found == (
        Logic(
            "and",
            (
                Comparison(Field("a"), "eq", "x,y"),
                Logic(
                    "or",
                    (
                        Membership(Field("b"), ("1", "2,3")),
                        Comparison(Field("c"), "gt", "{1,2}", False, "any"),
                    ),
                ),
                Logic(
                    "or",
                    (Is(Field("d"), "true"), Comparison(Field("m", (Step("k", True),)), "eq", "z", True)),
                    negated=True,
                ),
            ),
            negated=True,
        ),
    )


def test_a_column_named_like_a_logic_operator_is_a_column() -> None:
    assert parse("or=(and.eq.1,or.eq.2)").where == (
        Logic("or", (Comparison(Field("and"), "eq", "1"), Comparison(Field("or"), "eq", "2"))),
    )


def test_order() -> None:
    assert parse("order=a,b.desc,c.asc.nullsfirst,m->>k.nullslast").order == (
        Order(Field("a")),
        Order(Field("b"), descending=True),
        Order(Field("c"), nulls="first"),
        Order(Field("m", (Step("k", True),)), nulls="last"),
    )


@pytest.mark.parametrize(
    ("text", "limit", "offset"),
    [
        ("limit=5&offset=3", 5, 3),
        ("limit=x&offset=y", None, 0),
        ("limit=&offset=-3", None, 0),
        ("limit=-1", -1, 0),
        ("limit=99999999999999999999", 2**63 - 1, 0),
        ("limit=" + "9" * 5000, None, 0),
    ],
)
def test_limit_and_offset(text: str, limit: int | None, offset: int) -> None:
    query = parse(text)
    assert (query.limit, query.offset) == (limit, offset)


def test_columns_and_on_conflict() -> None:
    query = parse('columns=a,"b c"&on_conflict=a')
    assert (query.columns, query.on_conflict) == (("a", "b c"), ("a",))


def test_parameters_without_a_value_are_dropped() -> None:
    assert parse("a&select=id&b") == parse("select=id")


def test_the_api_key_is_no_filter() -> None:
    parsed = QueryParser().parse("apikey=secret&id=eq.1")
    assert parsed == QueryParser().parse("id=eq.1")
    assert parse("apikey=secret") == Query()
    assert parse('"apikey"=eq.x').where == (Comparison(Field("apikey"), "eq", "x"),)


def test_of_a_repeated_parameter_the_first_counts() -> None:
    assert parse("limit=1&limit=2&select=a&select=b") == parse("limit=1&select=a")


def test_the_canonical_form_is_sorted_and_encoded() -> None:
    assert QueryParser().parse("select=*&id=eq.1&b=eq.x+y&flag").canonical == "b=eq.x%20y&id=eq.1&select=%2A"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("a=eq.%00", "22021", "0x00"),
        ("select=m->99999999999", "22003", "out of range"),
        ("select=" + "a," * 2000 + "a", "PGRST100", "2000"),
        ("order=" + "a," * 2000 + "a", "PGRST100", "2000"),
        ("columns=" + "a," * 2000 + "a", "PGRST100", "2000"),
        ("&".join(["a=eq.1"] * (MAX_PARAMETERS + 1)), "PGRST100", str(MAX_PARAMETERS)),
    ],
)
def test_what_is_not_answered_is_refused_by_name(text: str, code: str, words: str) -> None:
    with pytest.raises(RestError) as caught:
        parse(text)
    assert caught.value.code == code
    assert words in f"{caught.value.message} {caught.value.details}"
