"""Functions under ``/rest/v1/rpc``, on both engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kernel.contracts.database import Database

FUNCTIONS = {
    "add(a integer, b integer default 10)": "returns integer language sql immutable as 'select a + b'",
    "hello(name text)": "returns text language sql stable as 'select ''Hello, '' || name'",
    "found(low integer, high integer default 100)": """returns setof items language sql stable
        as 'select * from items where id between low and high order by id'""",
    "first_item()": "returns items language sql stable as 'select * from items order by id limit 1'",
    "odd()": "returns setof integer language sql stable as 'select 1 union all select 3'",
    "rename(which integer, new text)": """returns setof items language sql
        as 'update items set name = new where id <= which returning *'""",
    "forget(which integer)": "returns void language sql as 'delete from items where id = which'",
    "twice(a integer)": "returns integer language sql as 'select a * 2'",
    "twice(a text)": "returns text language sql as 'select a || a'",
    "whole(jsonb)": "returns jsonb language sql immutable as 'select $1'",
    "shout(text)": "returns text language sql immutable as 'select upper($1)'",
    "size(bytea)": "returns integer language sql immutable as 'select length($1)'",
    "closed()": "returns integer language sql stable as 'select 1'",
}


@pytest.fixture(scope="module", autouse=True)
def functions(rest_kernel: Any) -> Iterator[None]:
    database = rest_kernel.services[Database]
    with database.schema_transaction() as transaction:
        for signature, rest in FUNCTIONS.items():
            transaction.script(f"create function {signature} {rest}")
        if database.engine == "postgresql":
            transaction.script("revoke execute on function closed() from public")
    yield
    with database.schema_transaction() as transaction:
        for signature in FUNCTIONS:
            transaction.script(f"drop function {re.sub(' default [0-9]+', '', signature)}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("add?a=1&b=2", 3),
        ("add?a=1", 11),
        ("add?a=7&a=1", 11),
        ("hello?name=eq", "Hello, eq"),
        ("hello?name=a%20b", "Hello, a b"),
        ("hello?name=in.the%20end", "Hello, in.the end"),
        ("odd", [1, 3]),
        ("odd?limit=1&offset=1", [3]),
        ("first_item?select=id,n:name", {"id": 1, "n": "apple"}),
        ("found?low=2&select=id&id=lt.4&order=id.desc", [{"id": 3}, {"id": 2}]),
        ("found?low=1&high=1&select=id,clients(name)", [{"id": 1, "clients": {"name": "Ann"}}]),
        ("found?low=1&select=id&or=(id.eq.1,id.eq.4)", [{"id": 1}, {"id": 4}]),
    ],
)
def test_a_query_string_holds_arguments_and_filters(api: Any, path: str, value: Any) -> None:
    reply = api.get(f"rpc/{path}").expect(200)
    assert reply.json() == value
    assert reply.header("content-type") == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("add", {"a": 1, "b": 2}, 3),
        ("add", {"a": 1}, 11),
        ("add?columns=a", {"a": 1, "b": 2}, 11),
        ("add", [{"a": 1, "b": 2}], 3),
        ("odd", {}, [1, 3]),
        ("found?select=id&id=neq.2&limit=1", {"low": 2}, [{"id": 3}]),
        ("whole", {"a": [1, None]}, {"a": [1, None]}),
        ("whole", "text", "text"),
    ],
)
def test_a_body_holds_arguments_by_name_or_is_the_one_there_is(
    api: Any, path: str, body: Any, value: Any
) -> None:
    assert api.post(f"rpc/{path}", json=body).expect(200).json() == value


def test_other_bodies_are_understood_by_their_content_type(api: Any) -> None:
    def sent(function: str, kind: str, body: bytes) -> Any:
        return api.post(f"rpc/{function}", body=body, headers={"content-type": kind}).expect(200).json()

    assert sent("add", "application/x-www-form-urlencoded", b"a=1&b=4") == 5
    assert sent("add", "text/csv", b"a,b\n1,5") == 6
    assert sent("shout", "text/plain", b"hey") == "HEY"
    assert sent("size", "application/octet-stream", b"\x00\xff\x01") == 3
    assert api.post("rpc/odd").expect(200).json() == [1, 3]


def test_nothing_is_answered_where_nothing_is_returned(api: Any) -> None:
    reply = api.post("rpc/forget", json={"which": 1}).expect(204)
    assert reply.body == b""
    assert reply.header("content-type") is None
    assert api.ids("") == [2, 3, 4]


def test_get_cannot_write(api: Any) -> None:
    error = api.get("rpc/forget?which=1").expect(405).json()
    assert error["code"] == "25006"
    assert api.ids("") == [1, 2, 3, 4]


def test_results_are_counted_and_cut(api: Any) -> None:
    exact = {"prefer": "count=exact"}
    reply = api.get("rpc/found?low=1&select=id", headers={**exact, "range": "1-2"}).expect(206)
    assert [row["id"] for row in reply.json()] == [2, 3]
    assert reply.header("content-range") == "1-2/4"
    assert reply.header("preference-applied") == "count=exact"
    reply = api.post("rpc/found?select=id", json={"low": 3}, headers={**exact, "range": "1-1"}).expect(200)
    assert reply.header("content-range") == "0-1/2"
    assert api.get("rpc/add?a=1", headers=exact).expect(200).header("content-range") == "0-0/1"
    error = api.get("rpc/found?low=1&offset=9", headers=exact).expect(416).json()
    assert error["details"] == "An offset of 9 was requested, but there are only 4 rows."


def test_rows_and_values_are_answered_as_csv(api: Any) -> None:
    csv = {"accept": "text/csv"}
    reply = api.get("rpc/found?low=1&high=2&select=id,done", headers=csv).expect(200)
    assert reply.body == b"id,done\n1,t\n2,f"
    assert reply.header("content-type") == "text/csv; charset=utf-8"
    assert api.get("rpc/odd", headers=csv).expect(200).body == b"pgrst_scalar\n1\n3"


def test_head_answers_the_headers(api: Any) -> None:
    reply = api.client.request("HEAD", "/rest/v1/rpc/found?low=3").expect(200)
    assert (reply.body, reply.header("content-range")) == (b"", "0-1/*")


def test_one_row_can_be_demanded(api: Any) -> None:
    single = {"accept": "application/vnd.pgrst.object+json"}
    reply = api.get("rpc/found?low=1&high=1&select=id", headers=single).expect(200)
    assert reply.json() == {"id": 1}
    assert reply.header("content-type") == "application/vnd.pgrst.object+json; charset=utf-8"
    assert api.get("rpc/add?a=1", headers=single).expect(200).json() == 11
    error = api.post("rpc/rename", json={"which": 2, "new": "x"}, headers=single).expect(406).json()
    assert (error["code"], error["details"]) == ("PGRST116", "The result contains 2 rows")
    assert api.ids("name=eq.x") == []


def test_a_call_that_returns_more_than_it_may_leaves_no_trace(api: Any) -> None:
    def renamed(most: int) -> Any:
        headers = {"prefer": f"handling=strict, max-affected={most}"}
        return api.post("rpc/rename", json={"which": 2, "new": "x"}, headers=headers)

    assert renamed(1).expect(400).json()["code"] == "PGRST124"
    assert api.ids("name=eq.x") == []
    reply = renamed(2).expect(200)
    assert reply.header("preference-applied") == "handling=strict, max-affected=2"
    assert api.ids("name=eq.x") == [1, 2]
    strict = {"prefer": "handling=strict, max-affected=9"}
    assert api.post("rpc/add", json={"a": 1}, headers=strict).expect(400).json()["code"] == "PGRST128"


def test_an_unknown_function_is_told_with_what_is_near(api: Any) -> None:
    error = api.post("rpc/twic", json={"b": 1, "a": 2}).expect(404).json()
    assert error == {
        "code": "PGRST202",
        "message": "Could not find the function public.twic(a, b) in the schema cache",
        "details": "Searched for the function public.twic with parameters a, b or with a single unnamed json/jsonb "
        "parameter, but no matches were found in the schema cache.",
        "hint": "Perhaps you meant to call the function public.twice",
    }
    error = api.get("rpc/hello?nam=x").expect(404).json()
    assert error["details"].startswith("Searched for the function public.hello with parameter nam, but")
    assert error["hint"] == "Perhaps you meant to call the function public.hello(name)"
    error = api.get("rpc/hello").expect(404).json()
    assert (
        error["message"] == "Could not find the function public.hello without parameters in the schema cache"
    )
    headers = {"content-type": "text/xml"}
    error = api.post("rpc/shout", body=b"<a/>", headers=headers).expect(404).json()
    assert "with a single unnamed xml parameter" in error["details"]
    assert error["hint"] is None
    assert (
        api.post("rpc/ad", json={}).expect(404).json()["hint"] is None
    )  # too little of "add" to tell a stranger


def test_an_ambiguous_call_is_told_with_what_it_may_mean(api: Any) -> None:
    error = api.get("rpc/twice?a=1").expect(300).json()
    assert error["code"] == "PGRST203"
    assert "public.twice(a => integer)" in error["message"]
    assert "public.twice(a => text)" in error["message"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("add?a=x", 400, "22P02"),
        ("found?low=1&nothing=eq.1", 400, "42703"),
        ("found?low=1&clients.id=eq.1", 400, "PGRST108"),
        ("found?low=1&select=nothing(id)", 400, "PGRST200"),
    ],
)
def test_what_does_not_fit_is_refused(api: Any, path: str, status: int, code: str) -> None:
    assert api.get(f"rpc/{path}").expect(status).json()["code"] == code


def test_a_body_that_cannot_be_read_is_refused(api: Any) -> None:
    for body, kind in ((b"{", "application/json"), (b"a", "image/png"), (b"\xff", "text/plain")):
        error = api.post("rpc/shout", body=body, headers={"content-type": kind}).expect(400).json()
        assert error["code"] == "PGRST102"


def test_methods_that_no_function_has_are_refused(api: Any) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        error = api.client.request(method, "/rest/v1/rpc/add").expect(405).json()
        assert (error["code"], error["message"]) == ("PGRST101", f"Cannot use the {method} method on RPC")
    allowed = api.client.request("OPTIONS", "/rest/v1/rpc/odd").expect(200).header("allow")
    assert allowed == "OPTIONS,GET,HEAD,POST"
    allowed = api.client.request("OPTIONS", "/rest/v1/rpc/forget?which=1").expect(200).header("allow")
    assert allowed == "OPTIONS,POST"


def test_who_may_not_execute_it_is_refused(api: Any) -> None:
    if api.database.engine == "postgresql":  # SQLite's functions are everyone's, with the caller's rights
        error = api.anonymous.get("/rest/v1/rpc/closed").expect(401).json()
        assert error["code"] == "42501"
        assert error["hint"] == "To allow it: grant execute on function public.closed to anon;"
    error = api.anonymous.post("/rest/v1/rpc/forget", json={"which": 1}).expect(401).json()
    assert error["code"] == "42501"
    reply = api.anonymous.post("/rest/v1/rpc/add", json={"a": 1}).expect(200)
    assert reply.json() == 11
