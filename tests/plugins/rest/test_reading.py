"""Reads over /rest/v1, from query string to JSON."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

import pytest

from kernel.contracts.database import Database


def test_all_columns_in_their_order_and_types(api: Any) -> None:
    reply = api.get("items?id=eq.1").expect(200)
    assert reply.text.replace(": ", ":").replace(", ", ",") == (
        '[{"id":1,"name":"apple","done":true,"created":"2024-01-01T00:00:00+00:00",'
        '"meta":{"a":[1,{"b":"x"}],"n":1.50,"t":true},"price":1.50,"score":0.5,"client_id":1,"code":"A"}]'
    )
    assert reply.header("content-type") == "application/json; charset=utf-8"
    assert reply.header("content-range") == "0-0/*"
    assert reply.header("content-location") == "/items?id=eq.1"
    assert reply.header("vary") == "Accept, Prefer, Range"


@pytest.mark.parametrize(
    ("select", "row"),
    [
        ("id,n:name", {"id": 1, "n": "apple"}),
        ("id::text,price::text,done::text", {"id": "1", "price": "1.50", "done": "true"}),
        ("meta->a->1->>b", {"b": "x"}),
        ("meta->a->0,last:meta->a->-1", {"a": 1, "last": {"b": "x"}}),
        (
            "x:meta->t,y:meta->>t,z:meta->>n,w:meta->>a",
            {"x": True, "y": "true", "z": "1.50", "w": '[1, {"b": "x"}]'},
        ),
        ("meta->nope->deeper,other:meta->>nope", {"deeper": None, "other": None}),
        ("name->x", {"x": None}),
        ("id,*", None),
        ("meta->>n::numeric", {"n": 1.5}),
    ],
)
def test_select(api: Any, select: str, row: dict[str, Any] | None) -> None:
    rows = api.rows(f"items?id=eq.1&select={select}")
    assert len(rows) == 1
    if row is not None:
        assert rows == [row]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("id=eq.2", [2]),
        ("id=not.eq.2", [1, 3, 4]),
        ("id=neq.2", [1, 3, 4]),
        ("id=gt.2", [3, 4]),
        ("id=gte.2&id=lt.4", [2, 3]),
        ("id=lte.1", [1]),
        ("name=gt.b", [3]),
        ("done=eq.true", [1]),
        ("done=neq.true", [2, 4]),
        ("done=is.true", [1]),
        ("done=not.is.true", [2, 3, 4]),
        ("done=is.false", [2, 4]),
        ("done=is.unknown", [3]),
        ("done=is.null", [3]),
        ("done=is.not_null", [1, 2, 4]),
        ("done=isdistinct.true", [2, 3, 4]),
        ("done=not.isdistinct.true", [1]),
        ("created=gte.2024-02-01", [2, 3, 4]),
        ("created=eq.2024-02-01T13:00:00%2B01:00", [2]),
        ("price=eq.1.5", [1]),
        ("price=gt.9", [2, 4]),
        ("score=eq.2.50", [4]),
        ("name=like.*an*", [2]),
        ("name=like.b*", []),
        ("name=ilike.b*", [2]),
        ("name=like.a%25b\\_c*d", [4]),
        ("name=not.like.*a*", [3]),
        ("name=like(any).{a*,c*}", [1, 3, 4]),
        ("name=like(all).{a*,*e}", [1]),
        ("id=in.(1,3,99)", [1, 3]),
        ('name=in.("apple",cherry)', [1, 3]),
        ("id=in.()", []),
        ("id=not.in.()", [1, 2, 3, 4]),
        ("id=not.in.(1,2)", [3, 4]),
        ("code=not.in.(A)", [2, 4]),
        ("id=eq(any).{1,2}", [1, 2]),
        ("id=gt(all).{1,2}", [3, 4]),
        ("code=not.eq(any).{A}", [2, 4]),
        ("or=(id.eq.1,name.eq.cherry)", [1, 3]),
        ("and=(id.gt.1,or(done.is.null,price.gt.10))", [2, 3]),
        ("not.or=(id.eq.1,id.eq.2)", [3, 4]),
        ("or=(id.eq.1,not.and(id.gt.1,id.lt.4))", [1, 4]),
        ("or=(name.in.(apple,cherry),code.eq.D)", [1, 3, 4]),
        ("meta->>t=eq.true", [1]),
        ("meta->a->1->>b=eq.x", [1]),
        ("meta->a=eq.[]", [2]),
        ('meta->a->1=eq.{"b":"x"}', [1]),
        ("meta=is.null", [3]),
        ("id=gt.1&order=name.desc&limit=2", [3, 4]),
        ("order=done,id", [2, 4, 1, 3]),
        ("order=done.desc,id.desc", [3, 1, 4, 2]),
        ("order=done.nullsfirst,id", [3, 2, 4, 1]),
        ("order=price.desc.nullslast", [2, 4, 1, 3]),
        ("order=meta->>t,id", [2, 1, 3, 4]),
        ("order=id&limit=2&offset=1", [2, 3]),
        ("order=id&offset=3", [4]),
        ("order=id&limit=0", []),
    ],
)
def test_filter_order_and_limit(api: Any, query: str, ids: list[int]) -> None:
    assert api.ids(query) == ids


def test_a_view_can_be_read(api: Any) -> None:
    assert api.rows("cheap?select=name&order=id") == [{"name": "apple"}, {"name": "a%b_c*d"}]


def test_names_that_need_quoting_everywhere(api: Any) -> None:
    reply = api.client.get(
        "/rest/v1/odd%20%22table'", query='select=*&"sel%20ect"=eq.p&order="a\\"b","it\'s"'
    )
    assert reply.expect(200).json() == [{"id": 1, "sel ect": "p", 'a"b': "q", "it's": "r", "c\\d": "s"}]


def test_head_has_the_headers_and_no_body(api: Any) -> None:
    reply = api.client.head("/rest/v1/items", headers={"prefer": "count=exact"}).expect(200)
    assert (reply.body, reply.header("content-range")) == (b"", "0-3/4")


@pytest.mark.parametrize("count", ["exact", "planned", "estimated"])
def test_a_count_beside_a_part_is_206(api: Any, count: str) -> None:
    reply = api.get("items?limit=2&offset=1&id=gt.1", headers={"prefer": f"count={count}"}).expect(206)
    span, _, total = (reply.header("content-range") or "").partition("/")
    planned = count != "exact" and api.database.engine == "postgresql"
    assert span == "1-2"
    assert int(total) > 2 if planned else total == "3"
    assert reply.header("preference-applied") == f"count={count}"


def test_a_range_header_is_a_limit(api: Any) -> None:
    reply = api.get("items?select=id&order=id", headers={"range": "1-2", "range-unit": "items"}).expect(200)
    assert ([row["id"] for row in reply.json()], reply.header("content-range")) == ([2, 3], "1-2/*")


def test_a_range_past_the_end_is_416_only_if_counted(api: Any) -> None:
    api.get("items?offset=9").expect(200)
    reply = api.get("items?offset=9", headers={"prefer": "count=exact"}).expect(416)
    assert reply.json()["details"] == "An offset of 9 was requested, but there are only 4 rows."


def test_one_object(api: Any) -> None:
    headers = {"accept": "application/vnd.pgrst.object+json"}
    reply = api.get("clients?id=eq.2", headers=headers).expect(200)
    assert reply.json() == {"id": 2, "name": "Bob"}
    assert reply.header("content-type") == "application/vnd.pgrst.object+json; charset=utf-8"
    for query, count in (("id=eq.9", 0), ("", 2)):
        error = api.get(f"clients?{query}", headers=headers).expect(406).json()
        assert (error["code"], error["details"]) == ("PGRST116", f"The result contains {count} rows")


def test_max_rows_caps_every_read(kernel_factory: Any, api: Any) -> None:
    from plugins.rest.language.query import QueryParser
    from plugins.rest.negotiation.terms import Negotiator
    from plugins.rest.routes import Tables
    from plugins.rest.settings import RestSettings

    settings = RestSettings(max_rows=3)
    tables = Tables(
        api.client.kernel.services[_records()],
        QueryParser(max_rows=settings.max_rows),
        Negotiator(settings, monotonic, on_server=False),
    )
    reply = tables.read(_request("select=id&order=id&limit=9"), "items")
    assert json.loads(reply.body) == [{"id": 1}, {"id": 2}, {"id": 3}]


def _records() -> Any:
    from kernel.contracts.records import Records

    return Records


def _request(query: str) -> Any:
    from kernel.http import Request
    from kernel.identity import Identity
    from kernel.testing.client import Headers

    request = Request("GET", "/rest/v1/items", query, Headers())
    request.identity = Identity("service_role")
    return request


def test_options_names_the_methods(api: Any) -> None:
    assert (
        api.client.options("/rest/v1/items").expect(200).header("allow")
        == "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"
    )
    assert api.client.options("/rest/v1/notes").header("allow") == "OPTIONS,GET,HEAD,POST,PATCH,DELETE"
    assert api.client.options("/rest/v1/cheap").header("allow") == "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"
    api.client.options("/rest/v1/nope").expect(404)


def test_schemas(api: Any) -> None:
    assert (
        api.get("items", headers={"accept-profile": "public"}).expect(200).header("content-profile")
        == "public"
    )
    error = api.get("items", headers={"accept-profile": "secret"}).expect(406).json()
    assert (error["code"], error["hint"]) == ("PGRST106", "Only the following schemas are exposed: public")


@pytest.mark.parametrize(
    ("query", "status", "code", "message"),
    [
        ("items?nope=eq.1", 400, "42703", "column items.nope does not exist"),
        ("items?select=id,nope", 400, "42703", "column items.nope does not exist"),
        ("items?order=nope", 400, "42703", "column items.nope does not exist"),
        ("items?id=eq.x", 400, "22P02", 'invalid input syntax for type integer: "x"'),
        ("items?id=in.(1,x)", 400, "22P02", 'invalid input syntax for type integer: "x"'),
        ("items?id=eq(any).{1,x}", 400, "22P02", 'invalid input syntax for type integer: "x"'),
        ("items?id=eq(any).1", 400, "22P02", 'malformed array literal: "1"'),
        ("items?id=like.1", 404, "42883", "operator does not exist: integer ~~ unknown"),
        ("items?id=is.true", 400, "42804", "argument of IS TRUE must be type boolean, not type integer"),
        ("notes?extra=eq.1", 404, "42883", "operator does not exist: json = unknown"),
        ("notes?order=extra", 404, "42883", "could not identify an ordering operator for type json"),
        ("items?select=meta->>a->b", 404, "42883", "operator does not exist: text -> unknown"),
        ("items?select=name::integer", 400, "22P02", 'invalid input syntax for type integer: "apple"'),
    ],
)
def test_refusals(api: Any, query: str, status: int, code: str, message: str) -> None:
    reply = api.get(query).expect(status)
    error = reply.json()
    assert list(error) == ["code", "details", "hint", "message"]
    assert (error["code"], error["message"]) == (code, message)
    assert reply.header("proxy-status") == f"PostgREST; error={code}"


def test_the_nearest_name_is_offered(api: Any) -> None:
    error = api.get("item").expect(404).json()
    assert (error["code"], error["hint"]) == ("PGRST205", "Perhaps you meant the table 'public.items'")
    assert (
        api.get("items?nam=eq.1").json()["hint"] == 'Perhaps you meant to reference the column "items.name".'
    )


def test_deeper_paths_do_not_exist(api: Any) -> None:
    for method in ("get", "post", "put", "patch", "delete"):
        error = getattr(api, method)("items/1").expect(404).json()
        assert error["code"] == "PGRST125"


def test_reads_are_answered_on_the_event_loop_where_no_server_is_waited_for(rest_kernel: Any) -> None:
    match = rest_kernel.router.match("GET", "/rest/v1/items")
    assert match.route.inline is (rest_kernel.services[Database].engine == "sqlite")


def test_distinct_answers_equal_rows_once(api: Any) -> None:
    assert api.rows("items?select=client_id&distinct=true&order=client_id.nullslast") == [
        {"client_id": 1},
        {"client_id": 2},
        {"client_id": None},
    ]
    reply = api.get(
        "items?select=client_id&distinct=true&order=client_id&limit=1", headers={"prefer": "count=exact"}
    )
    assert reply.expect(206).header("content-range") == "0-0/3"
    assert len(api.rows("items?select=client_id&distinct=true&client_id=eq.1")) == 1
    error = api.get("items?select=client_id&distinct=true&order=id").expect(400).json()
    assert error["code"] == "42803"
    # Any other value is that of a filter.
    assert api.get("items?distinct=eq.true").expect(400).json()["code"] == "42703"
    assert api.get("items?distinct=yes").expect(400).json()["code"] == "PGRST100"
