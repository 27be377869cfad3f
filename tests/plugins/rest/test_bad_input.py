"""Nothing a client sends is a failure of the server, runs as SQL, or hangs."""

from __future__ import annotations

import json
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.records import Records
from kernel.http import NotInline, Request, TooLong
from kernel.identity import Identity
from kernel.testing.client import Headers
from plugins.rest.errors import RestError
from plugins.rest.language.query import QueryParser
from plugins.rest.negotiation.terms import Negotiator
from plugins.rest.routes import Tables
from plugins.rest.settings import RestSettings

RELAXED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = """
id name meta done nope * ( ) , . : :: -> ->> " \\ ' { } [ ] ! ... not and or in is eq neq gt like ilike any all null
true count() .sum() asc desc nullsfirst nullslast 1 -1 0 1e9 99999999999999999999 %00 %FF + & = ; -- /*
"""
OPERATORS = "eq neq gt gte lt lte like ilike match in is isdistinct fts cs eq(any) like(all)"

PIECES = st.sampled_from(WORDS.split())
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
KEYS = (
    st.sampled_from(["select", "order", "limit", "offset", "or", "and", "not.or", "columns", "on_conflict"])
    | TEXT
)
FILTERS = st.builds(
    "{}{}.{}".format,
    st.sampled_from(["", "not."]),
    st.sampled_from(OPERATORS.split()),
    TEXT,
)
QUERIES = st.lists(st.tuples(KEYS, TEXT | FILTERS), max_size=5).map(
    lambda pairs: "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "name", "done", "meta", "price", "created", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)

INJECTIONS = [
    "'; drop table items; --",
    '"; drop table items; --',
    "1) or 1=1 --",
    "1 union select 1",
    "x' or 'x'='x",
    ":v0",
    "?1",
    "{}",
    "{left}",
    "$.a'); drop table items; --",
]


@RELAXED
@given(QUERIES | st.text(max_size=60))
def test_parsing_ends_in_a_query_or_a_refusal(text: str) -> None:
    with suppress(RestError):
        QueryParser().parse(text)


@RELAXED
@given(QUERIES)
def test_any_query_is_answered_or_refused(api: Any, query: str) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        reply = api.client.request(method, "/rest/v1/items", query=query, headers={"prefer": "count=exact"})
        assert reply.status < 500, (query, reply.body)


@RELAXED
@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
def test_any_body_is_answered_or_refused(api: Any, body: bytes) -> None:
    for method, path in (("POST", "items"), ("PATCH", "items?id=eq.1"), ("PUT", "items?id=eq.1")):
        for content_type in ("application/json", "text/csv"):
            headers = {"prefer": "return=representation", "content-type": content_type}
            reply = api.client.request(method, f"/rest/v1/{path}", body=body, headers=headers)
            assert reply.status < 500, (method, body, reply.body)


@pytest.mark.parametrize("payload", INJECTIONS)
def test_sql_in_any_place_is_only_text(api: Any, payload: str) -> None:
    quoted = '"' + payload.replace("\\", "\\\\").replace('"', '\\"') + '"'
    queries = [
        [("name", f"eq.{payload}")],
        [("name", f"like.{payload}")],
        [("name", f"in.({quoted})")],
        [("name", f"eq(any).{{{quoted}}}")],
        [("or", f"(name.eq.{quoted},id.eq.99)")],
        [("select", f"{quoted}:id"), ("id", "eq.99")],
        [("select", f"meta->{quoted}"), ("id", "eq.99")],
        [(f"meta->>{quoted}", "eq.x")],
        [("order", f"meta->>{quoted}"), ("id", "eq.99")],
    ]
    for query in queries:
        assert api.client.get("/rest/v1/items", query=query).expect(200).json() == [], query
    for query in (
        [(quoted, "eq.1")],
        [("select", quoted)],
        [("order", quoted)],
        [("select", f"id::{payload}")],
    ):
        api.client.get("/rest/v1/items", query=query).expect(400)
    api.client.get("/rest/v1/items", query=[("limit", payload), ("offset", payload)]).expect(200)
    api.client.get(f"/rest/v1/{quote(payload.replace('/', ''), safe='')}").expect(404)
    api.post("items", json={payload: 1}).expect(400)
    api.post("items", json={"id": 50, "name": payload}).expect(201)
    assert api.client.get("/rest/v1/items", query=[("name", f"eq.{payload}"), ("select", "id")]).json() == [
        {"id": 50}
    ]


def test_an_alias_may_be_anything(api: Any) -> None:
    for alias in INJECTIONS:
        quoted = '"' + alias.replace("\\", "\\\\").replace('"', '\\"') + '"'
        reply = api.client.get("/rest/v1/items", query=[("select", f"{quoted}:id"), ("id", "eq.1")])
        assert reply.expect(200).json() == [{alias: 1}]


def test_large_lists_are_fine(api: Any) -> None:
    values = ",".join(str(number) for number in range(1, 100_000))
    assert api.ids(f"id=in.({values})") == [1, 2, 3, 4]


def test_many_conditions_are_fine(api: Any) -> None:
    conditions = ",".join("id.gt.0" for _ in range(10_000))
    assert api.ids(f"or=({conditions})") == [1, 2, 3, 4]
    api.get(f"items?or=({conditions},{conditions},{conditions})").expect(400)


def test_wide_selections_are_fine_up_to_a_limit(api: Any) -> None:
    many = ",".join(f"c{number}:id" for number in range(1600))
    (row,) = api.rows(f"items?id=eq.1&select={many}")
    assert len(row) == 1600
    api.get(f"items?select={many},{many}").expect(400)


def test_a_long_query_is_not_parsed_on_the_event_loop(api: Any) -> None:
    tables = Tables(
        api.client.kernel.services[Records],
        QueryParser(),
        Negotiator(RestSettings(), monotonic, on_server=False),
    )

    def outcome(query: str, *, inline: bool) -> object:
        request = Request("GET", "/rest/v1/items", query, Headers({}))
        request.identity, request.inline = Identity("service_role"), inline
        try:
            return tables.read(request, "items").status
        except NotInline as error:
            return type(error)

    long = f"or=({','.join(['id.eq.1'] * 500)})"
    assert outcome(long, inline=True) is TooLong
    assert outcome(long, inline=False) == 200
    assert outcome("id=eq.1", inline=True) in (200, NotInline)


def test_a_long_value_is_fine(api: Any) -> None:
    assert api.ids(f"name=eq.{'x' * 2_000_000}") == []


@pytest.mark.parametrize(
    "search", ["plfts." + "word " * 5_000, "fts." + "(" * 5_000], ids=["words", "parentheses"]
)
def test_a_search_of_too_much_is_answered_or_refused(api: Any, search: str) -> None:
    reply = api.client.get("/rest/v1/items", query=[("name", search)])
    assert reply.status == 200 or (reply.status, reply.json()["code"]) in ((400, "54001"), (400, "42601")), (
        reply.body[:300]
    )
