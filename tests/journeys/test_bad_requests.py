"""Well-formed HTTP with bad contents: every refusal is a 4xx that says why, at once, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Send = Callable[..., Any]

COUNTRY = {"alpha_2": "QQ", "alpha_3": "QQQ", "numeric_code": "QQQ", "name": "Nowhere", "flag": "🏴"}
LIMIT = 200_000


@pytest.fixture(scope="module")
def server(module_project: Path, module_engine: dict[str, str], serving: Callable[..., Any]) -> Iterator[Any]:
    with serving(module_project, kernel__max_body_bytes=str(LIMIT), **module_engine) as server:
        yield server


@pytest.fixture
def send(server: Any, wire: Callable[..., Any]) -> Iterator[Send]:
    """Send a request with the service key; afterwards no country may have come into being."""
    with wire(server, timeout=5.0) as connection:

        def send(method: str, target: str, body: bytes | None = None, **headers: str) -> Any:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None:
                named.setdefault("content-type", "application/json")
            reply = connection.request(method, target, named, body)
            assert reply is not None, "the server closed without an answer"
            return reply

        yield send
        assert send("GET", "/rest/v1/countries?select=alpha_2").json() == []


def assert_refused(reply: Any, status: int, code: str | None = None) -> None:
    """A refusal in PostgREST's shape, with a message and the length of its body."""
    assert reply.status == status, reply
    assert reply.headers["content-type"].startswith("application/json")
    assert int(reply.headers["content-length"]) == len(reply.body)
    error = reply.json()
    assert set(error) == {"code", "message", "details", "hint"}
    assert error["message"]
    assert "Traceback" not in reply.body.decode()
    if code is not None:
        assert error["code"] == code, error


GOOD = json.dumps(COUNTRY).encode()

BODIES: dict[str, bytes] = {
    "empty": b"",
    "cut short": GOOD[:-5],
    "followed by something": GOOD + b"]",
    "two documents": GOOD + GOOD,
    "not JSON": b"alpha_2=QQ",
    "single quotes": GOOD.replace(b'"', b"'"),
    "bad UTF-8": GOOD.replace(b"Nowhere", b"\xff\xfe"),
    "overlong UTF-8": GOOD.replace(b"Nowhere", b"\xc0\xaf"),
    "a control character in a text": GOOD.replace(b"Nowhere", b"\x01"),
    "half a surrogate pair": GOOD.replace(b"Nowhere", b"\\ud800"),
    "a NUL in a text": GOOD.replace(b"Nowhere", b"\\u0000"),
    "NaN": GOOD.replace(b'"Nowhere"', b"NaN"),
    "nested 100,000 deep": b"[" * 100_000,
    "nested 50,000 deep, closed": b"[" * 50_000 + b"]" * 50_000,
    "objects nested 30,000 deep": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "keys that differ": json.dumps([COUNTRY, {"name": "Elsewhere"}]).encode(),
    "a key that is no column": json.dumps(COUNTRY | {"capital": "Q"}).encode(),
    "an empty key": json.dumps(COUNTRY | {"": "Q"}).encode(),
    "a key with a NUL": json.dumps(COUNTRY | {"na\0me": "Q"}).encode(),
    "a list among the rows": json.dumps([COUNTRY, [COUNTRY]]).encode(),
    "a text among the rows": json.dumps([COUNTRY, "Q"]).encode(),
    "a null for the key": json.dumps(COUNTRY | {"alpha_2": None}).encode(),
    "a check that fails": json.dumps(COUNTRY | {"alpha_2": "QQQQQ"}).encode(),
    "the same row twice": json.dumps([COUNTRY, COUNTRY]).encode(),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused(send: Send, what: str) -> None:
    reply = send("POST", "/rest/v1/countries", BODIES[what])
    assert_refused(reply, 409 if what == "the same row twice" else 400)


WRONG_TYPES: dict[str, tuple[str, bytes]] = {
    "text for bigint": ("visits", b'"many"'),
    "fraction for bigint": ("visits", b"1.5"),
    "object for bigint": ("visits", b'{"a": 1}'),
    "list for bigint": ("visits", b"[1]"),
    "boolean for bigint": ("visits", b"true"),
    "empty text for bigint": ("visits", b'""'),
    "too large for bigint": ("visits", b"9223372036854775808"),
    "5,000 digits for bigint": ("visits", b"9" * 5_000),
    "1e400 for bigint": ("visits", b"1e400"),
    "text for numeric": ("elevation", b'"high"'),
    "too large for numeric": ("elevation", b"100000"),
    "1e999999 for numeric": ("elevation", b"1e999999"),
    "text for double": ("latitude", b'"north"'),
    "1e400 for double": ("latitude", b"1e400"),
    "text for boolean": ("open", b'"perhaps"'),
    "number for boolean": ("open", b"2"),
    "text for date": ("surveyed_on", b'"soon"'),
    "number for date": ("surveyed_on", b"20240229"),
    "impossible date": ("surveyed_on", b'"2023-02-30"'),
    "text for timestamp": ("changed_at", b'"soon"'),
    "impossible time": ("changed_at", b'"2024-01-01T25:00:00Z"'),
    "null for a mandatory column": ("name", b"null"),
}


@pytest.mark.parametrize("what", [name for name in WRONG_TYPES if name != "number for date"])
def test_a_value_of_the_wrong_type_is_refused_in_a_body(send: Send, what: str) -> None:
    column, value = WRONG_TYPES[what]
    row = b'{"iata": "QQQ", "icao": "Q", "country": "QQ", "time_zone": "Q", "name": "Q", "latitude": 1, '
    row += b'"longitude": 1, '
    row = row.replace(f'"{column}"'.encode(), b'"faa_id"') if column == "name" else row
    row = row.replace(b'"latitude": 1, ', b"") if column == "latitude" else row
    assert_refused(send("POST", "/rest/v1/airports", row + f'"{column}": '.encode() + value + b"}"), 400)


FILTERS = [
    "visits=gt.many",
    "visits=eq.1.5",
    "visits=eq.",
    "visits=eq.9223372036854775808",
    "visits=in.(1,two)",
    "elevation=lt.high",
    "latitude=gte.north",
    "open=eq.perhaps",
    "open=is.perhaps",
    "surveyed_on=gt.soon",
    "surveyed_on=eq.2023-02-30",
    "changed_at=lt.soon",
    "visits=eq.%00",
    "name=eq.%00",
    "name=like.a%00b",
    "nonsense=eq.1",
    "name=equals.1",
    "name=eq",
    "name=",
    "name=.",
    "name=eq.x&order=nonsense",
    "order=name.sideways",
    "order=",
    "order=name.asc.desc",
    "select=nonsense",
    "select=name,,iata",
    "select=(",
    "select=name::nonsense",
    "select=name::text;drop%20table%20airports",
    "limit=-1",
    "or=()",
    "or=(name.eq.1",
    "and=name.eq.1",
    "name=in.1",
    "name=in.(1",
    "name=not.not.eq.1",
    "%22name=eq.1",
    "na%FFme=eq.1",
    "name=eq.%FF",
    "name%00=eq.1",
    "select=name%00",
    "order=name%00",
    "select=%22name",
    "on_conflict=",
    "visits-%3Ea=eq.1",
    "or=(" + "and(" * 3000 + "name.eq.1" + ")" * 3000 + ")",
]
HARMLESS = {"name=", "order=", "on_conflict=", "visits-%3Ea=eq.1", "name=eq.%FF", "na%FFme=eq.1", "name=eq"}


@pytest.mark.parametrize("query", FILTERS, ids=lambda query: query[:40])
def test_a_bad_query_is_refused_or_answers(send: Send, query: str) -> None:
    reply = send("GET", f"/rest/v1/airports?{query}")
    if query not in HARMLESS or reply.status != 200:
        assert_refused(reply, 416 if query.startswith("limit=-") else 400)


INJECTIONS = [
    "'",
    "''",
    '"',
    "';--",
    "' or '1'='1",
    '" or ""="',
    "1;select 1",
    "x'||(select 1)||'",
    "\\'",
    "$1",
    ":a",
    "?",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_a_value_is_a_value_and_in_a_name_an_unknown_name(send: Send, text: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in text.encode())
    assert send("GET", f"/rest/v1/airports?name=eq.{quoted}").json() == []
    assert send("GET", f"/rest/v1/airports?name=in.(%22{quoted}%22)").status in (200, 400)
    for query in (f"{quoted}=eq.1", f"select={quoted}", f"order={quoted}"):
        assert_refused(send("GET", f"/rest/v1/airports?{query}"), 400)
    assert send("GET", f"/rest/v1/{quoted}").status in (400, 404)
    assert_refused(send("POST", "/rest/v1/airports", json.dumps({text: 1}).encode()), 400)
    assert_refused(send("POST", f"/rest/v1/airports?columns={quoted}", b"[{}]"), 400)
    assert_refused(send("POST", f"/rest/v1/airports?on_conflict={quoted}", GOOD), 400)


@pytest.mark.parametrize(
    "table",
    [
        "contries",
        "COUNTRIES",
        "sqlite_master",
        "sqlite_schema",
        "pragma_table_info",
        "pg_class",
        "information_schema.tables",
        "public.countries",
        "countries%20",
        "%22countries%22",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_an_unknown_table_is_not_found(send: Send, method: str, table: str) -> None:
    body = None if method == "GET" else b"{}"
    assert_refused(send(method, f"/rest/v1/{table}", body), 404, "PGRST205")


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
def test_a_deeper_path_is_not_found(send: Send, method: str) -> None:
    assert send(method, "/rest/v1/countries/IS", None if method == "GET" else b"{}").status == 404


@pytest.mark.parametrize("method", ["BREW", "TRACE", "LINK", "get", "A" * 300])
def test_another_method_is_refused(send: Send, method: str) -> None:
    reply = send(method, "/rest/v1/countries")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/xml", "application/octet-stream", "image/png", "nonsense", "/", ";"]
)
def test_a_body_of_another_type_is_refused(send: Send, content_type: str) -> None:
    assert_refused(send("POST", "/rest/v1/countries", GOOD, content_type=content_type), 400, "PGRST102")


def test_a_compressed_body_is_refused_and_not_misread(send: Send) -> None:
    reply = send("POST", "/rest/v1/countries", b"\x1f\x8b\x08\x00junk", content_encoding="gzip")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/xml;q=1"])
def test_an_answer_in_another_type_is_refused(send: Send, accept: str) -> None:
    assert_refused(send("GET", "/rest/v1/countries", accept=accept), 406, "PGRST107")


NONSENSE = [
    "",
    " ",
    ",",
    ";",
    "=",
    "a" * 5_000,
    "\u00e9",
    '"',
    "0-",
    "-",
    "9-5",
    "bytes=0-1",
    "count=",
    "count=many",
    "x=y,x=y",
    "q=2;",
]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: repr(value[:12]))
@pytest.mark.parametrize(
    "header",
    [
        "range",
        "prefer",
        "accept",
        "accept-profile",
        "accept-encoding",
        "cookie",
        "origin",
        "if-none-match",
        "if-modified-since",
        "traceparent",
        "x-request-id",
        "x-forwarded-for",
        "access-control-request-headers",
    ],
)
def test_nonsense_in_a_header_is_ignored_or_refused(send: Send, header: str, value: str) -> None:
    reply = send("GET", "/rest/v1/countries", **{header: value})
    assert reply.status in (200, 206, 304, 400, 406, 416), reply
    if reply.status >= 400:
        assert_refused(reply, reply.status)


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer a.b.c",
        "Bearer " + "a" * 8_000,
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.",
        "Bearer é",
        "Bearer sb_secret_x",
    ],
)
def test_a_bad_credential_lets_nobody_in(send: Send, server: Any, credential: str) -> None:
    reply = send("GET", "/rest/v1/countries", apikey="", authorization=credential)
    assert_refused(reply, 401)
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_key_whose_payload_was_changed_lets_nobody_in(send: Send, server: Any) -> None:
    head, payload, signature = server.anon_key.split(".")
    _, service_payload, _ = server.service_key.split(".")
    for forged in (
        f"{head}.{service_payload}.{signature}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-3]}AAA",
    ):
        assert_refused(
            send("GET", "/rest/v1/countries", apikey=forged, authorization=f"Bearer {forged}"), 401
        )


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(send: Send) -> None:
    padded = GOOD[:-1] + b" " * (LIMIT - len(GOOD) - 0) + b"}"
    assert len(padded) == LIMIT
    refusal = send("POST", "/rest/v1/countries", padded + b" ")
    assert_refused(refusal, 413)
    assert refusal.headers["connection"] == "close"
    assert send("POST", "/rest/v1/countries", padded).status == 201
    assert send("DELETE", "/rest/v1/countries?alpha_2=eq.QQ").status == 204


def test_a_very_long_query_is_answered_or_refused(send: Send) -> None:
    names = ",".join(f"%22name {number}%22" for number in range(3_000)).replace(" ", "%20")
    reply = send("GET", f"/rest/v1/countries?name=in.({names})")
    assert reply.status == 200 or 400 <= reply.status < 500
    reply = send("GET", "/rest/v1/countries?" + "&".join(["name=eq.x"] * 5_000))
    assert reply.status == 200 or 400 <= reply.status < 500
    reply = send("GET", "/rest/v1/countries?select=" + ",".join(f"a{number}:name" for number in range(3_000)))
    assert reply.status == 200 or 400 <= reply.status < 500
