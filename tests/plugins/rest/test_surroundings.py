"""What a request tells the database, and the database of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kernel.contracts.database import Database
from kernel.errors import ConfigError
from kernel.testing.client import Client
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin
from plugins.rest import RestPlugin

Serve = Callable[..., Client]

SCHEMA = """
create table things (id integer primary key, name text);
create function asked(name text) returns text language sql stable as $$
    select case name
        when 'method' then current_setting('request.method', true)
        when 'path' then current_setting('request.path', true)
        when 'headers' then current_setting('request.headers', true)::json ->> 'x-client-info'
        when 'cookies' then current_setting('request.cookies', true)::json ->> 'flavour'
    end
$$;
create function answer(headers text, status text) returns text language sql volatile as $$
    select set_config('response.headers', headers, true) || set_config('response.status', status, true)
$$;
create function alone() returns text language sql stable as $$
    select set_config('response.headers', '[{"X-Alone": "yes"}]', true)
$$;
grant all on things to anon;
"""

ON_POSTGRESQL = """
create schema shop;
grant usage on schema shop to anon, authenticated;
create table shop.goods (id integer primary key, made timestamptz not null);
insert into shop.goods values (1, '2024-01-01 12:00:00+00');
grant all on shop.goods to anon;
create function shop.count_goods() returns bigint language plpgsql stable as $$
    begin return (select count(*) from goods); end
$$;
create function shop.refuse(state text, message text, detail text) returns void language plpgsql as $$
    begin
        if detail is null then raise sqlstate using errcode = state, message = message; end if;
        raise sqlstate using errcode = state, message = message, detail = detail;
    end
$$;
create function shop.mark() returns trigger language plpgsql as $$
    begin perform set_config('response.headers', '[{"X-Mark": "made"}]', true); return new; end
$$;
create trigger mark before insert on shop.goods for each row execute function shop.mark();
create table shop.pages (id integer primary key, about integer references shop.pages deferrable initially deferred);
grant all on shop.pages to anon;
create function shop.before() returns void language plpgsql as $$
    begin
        if current_setting('request.headers')::json ->> 'x-who' = 'ann' then
            perform set_config('role', 'authenticated', true);
        elsif current_setting('request.path') = '/goods' then
            perform set_config('response.headers', '[{"cache-control": "no-store"}]', true);
        else
            raise sqlstate 'PT402' using message = 'Pay first';
        end if;
    end
$$;
create function shop.who() returns text language sql stable as 'select current_user';
""".replace("raise sqlstate using", "raise exception using")


@pytest.fixture
def serve(kernel_factory: Any, request: pytest.FixtureRequest) -> Iterator[Serve]:
    kernels = []

    def begin(engine: str, schema: str = SCHEMA, **settings: Any) -> Client:
        sections: dict[str, Any] = {"rest": settings}
        if engine == "postgresql":
            sections["database"] = {"url": request.getfixturevalue("make_postgresql_database")()}
        kernel = kernel_factory(plugins=[DatabasePlugin, RecordsPlugin, RestPlugin], settings=sections)
        kernels.append(kernel)
        with kernel.services[Database].schema_transaction() as transaction:
            transaction.script(schema)
        client: Client = kernel.client
        return client

    yield begin
    for kernel in kernels:
        kernel.stop()


MEDIA = """
create domain "text/plain" as text;
create domain "image/gif" as bytea;
create domain "*/*" as bytea;
create function greeting() returns "text/plain" language sql stable as $$ select 'Hello, "you"'::"text/plain" $$;
create function dot() returns "image/gif" language sql stable as $$ select '\\x47494600ff'::"image/gif" $$;
create function something() returns "*/*" language sql stable as $$ select '\\x616263'::"*/*" $$;
create function nothing() returns "text/plain" language sql stable as $$ select null::"text/plain" $$;
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_functions_answer_in_a_media_type_of_their_own(serve: Serve, engine: str) -> None:
    client = serve(engine, MEDIA)

    def get(name: str, accept: str | None = None) -> tuple[str | None, bytes]:
        headers = {} if accept is None else {"accept": accept}
        reply = client.get(f"/rest/v1/rpc/{name}", headers=headers).expect(200)
        return reply.header("content-type"), reply.body

    plain = ("text/plain; charset=utf-8", b'Hello, "you"')
    assert (
        get("greeting", "text/plain")
        == get("greeting", "image/*;q=0.1, text/plain")
        == get("greeting")
        == plain
    )
    assert get("greeting", "application/json") == ("application/json; charset=utf-8", rb'"Hello, \"you\""')
    assert get("dot", "image/gif") == ("image/gif", b"GIF\x00\xff")
    assert get("something", "a/b") == get("something", "text/csv") == ("application/octet-stream", b"abc")
    assert get("nothing", "text/plain") == ("text/plain; charset=utf-8", b"")
    client.get("/rest/v1/rpc/dot", headers={"accept": "text/plain"}).expect(406)


@pytest.fixture
def shop(serve: Serve) -> Client:
    return serve("postgresql", ON_POSTGRESQL, schemas=["shop"], tx_end="commit-allow-override")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_statements_are_told_of_the_request(serve: Serve, engine: str) -> None:
    client = serve(engine)
    headers = {"x-client-info": "tests/1", "cookie": "a=b; flavour=oat"}
    for name, told in (("path", "/rpc/asked"), ("headers", "tests/1"), ("cookies", "oat")):
        assert client.get(f"/rest/v1/rpc/asked?name={name}", headers=headers).expect(200).json() == told
    assert client.get("/rest/v1/rpc/asked?name=method").json() == "GET"
    assert client.post("/rest/v1/rpc/asked", json={"name": "method"}).json() == "POST"
    assert client.get("/rest/v1/rpc/asked?name=headers").json() is None


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_functions_set_status_and_headers_of_the_answer(serve: Serve, engine: str) -> None:
    client = serve(engine)
    headers = '[{"Set-Cookie": "a=1"}, {"Set-Cookie": "b=2"}, {"Content-Type": "text/plain"}]'
    body = {"headers": headers, "status": "418"}
    reply = client.post("/rest/v1/rpc/answer", json=body).expect(418)
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert [value for name, value in reply.headers if name == "content-type"] == ["text/plain"]
    assert client.get("/rest/v1/rpc/alone").expect(200).header("x-alone") == "yes"
    assert client.get("/rest/v1/things").expect(200).header("x-alone") is None  # it was another request


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ('{"X": "y"}', "200", "PGRST111"),
        ('[{"X": "y", "Z": "a"}]', "200", "PGRST111"),
        ('[{"X": 1}]', "200", "PGRST111"),
        (r'[{"X": "a\r\nEvil: b"}]', "200", "PGRST111"),
        ('[{"X Y": "a"}]', "200", "PGRST111"),
        ("[]", "soon", "PGRST112"),
        ("[]", "100", "PGRST112"),
        ("[]", "20000", "PGRST112"),
    ],
)
def test_what_is_no_header_or_status_is_an_error(
    serve: Serve, engine: str, headers: str, status: str, code: str
) -> None:
    body = {"headers": headers, "status": status}
    assert serve(engine).post("/rest/v1/rpc/answer", json=body).expect(500).json()["code"] == code


def test_a_request_s_schema_is_where_its_functions_look(shop: Client) -> None:
    assert shop.get("/rest/v1/rpc/count_goods").expect(200).json() == 1
    assert shop.post("/rest/v1/rpc/count_goods", json={}).expect(200).json() == 1


def test_triggers_set_headers_of_a_write_also_where_it_is_undone(shop: Client) -> None:
    row = {"id": 2, "made": "2024-01-01"}
    undone = {"prefer": "tx=rollback"}
    assert shop.post("/rest/v1/goods", json=row, headers=undone).expect(201).header("x-mark") == "made"
    assert shop.post("/rest/v1/goods", json=row).expect(201).header("x-mark") == "made"


def test_a_write_that_is_undone_is_refused_where_its_commit_would_be(shop: Client) -> None:
    for headers in ({}, {"prefer": "tx=rollback"}):
        reply = shop.post("/rest/v1/pages", json={"id": 1, "about": 9}, headers=headers)
        assert reply.expect(409).json()["code"] == "23503"
    shop.post("/rest/v1/pages", json={"id": 1, "about": 1}, headers={"prefer": "tx=rollback"}).expect(201)
    assert shop.get("/rest/v1/pages").json() == []


def test_moments_are_told_in_the_time_zone_that_is_preferred(shop: Client) -> None:
    reply = shop.get("/rest/v1/goods?select=made", headers={"prefer": "timezone=America/Los_Angeles"})
    assert reply.expect(200).json() == [{"made": "2024-01-01T04:00:00-08:00"}]
    assert reply.header("preference-applied") == "timezone=America/Los_Angeles"
    error = shop.get("/rest/v1/goods", headers={"prefer": "timezone=Atlantis"}).expect(400).json()
    assert (error["code"], error["message"]) == (
        "22023",
        'invalid value for parameter "TimeZone": "Atlantis"',
    )
    assert shop.get("/rest/v1/goods?select=made").json() == [{"made": "2024-01-01T12:00:00+00:00"}]


def test_a_time_zone_is_an_unknown_preference_on_sqlite(serve: Serve) -> None:
    client = serve("sqlite")
    lenient, strict = {"prefer": "timezone=UTC"}, {"prefer": "timezone=UTC, handling=strict"}
    assert client.get("/rest/v1/things", headers=lenient).expect(200).header("preference-applied") is None
    assert client.get("/rest/v1/things", headers=strict).expect(400).json()["code"] == "PGRST122"


@pytest.mark.parametrize(
    ("state", "message", "detail", "status", "error"),
    [
        ("PT402", "Pay", "now", 402, {"code": "PT402", "message": "Pay", "details": "now"}),
        ("PT40A", "Pay", "now", 500, {"code": "PT40A", "message": "Pay", "details": "now"}),
        ("PT099", "Pay", "now", 500, {"code": "PT099", "message": "Pay", "details": "now"}),
        (
            "PGRST",
            '{"code": "123", "message": "ABC", "hint": "XYZ"}',
            '{"status": 332, "headers": {"X-Header": "str"}}',
            332,
            {"code": "123", "message": "ABC", "details": None, "hint": "XYZ"},
        ),
        (
            "PGRST",
            "INVALID",
            "{}",
            500,
            {"code": "PGRST121", "details": "Invalid JSON value for MESSAGE: 'INVALID'"},
        ),
        (
            "PGRST",
            '{"code": "1", "message": "A"}',
            "{}",
            500,
            {"details": "Invalid JSON value for DETAIL: '{}'"},
        ),
        (
            "PGRST",
            '{"code": "1", "message": "A"}',
            r'{"status": 400, "headers": {"X": "a\nb"}}',
            500,
            {"code": "PGRST121"},
        ),
        (
            "PGRST",
            '{"code": "1", "message": "A"}',
            None,
            500,
            {"details": "DETAIL is missing in the RAISE statement"},
        ),
    ],
)
def test_a_function_raises_an_answer(
    shop: Client, state: str, message: str, detail: str | None, status: int, error: dict[str, Any]
) -> None:
    body = {"state": state, "message": message, "detail": detail}
    reply = shop.post("/rest/v1/rpc/refuse", json=body).expect(status)
    assert {**reply.json(), **error} == reply.json()
    assert reply.header("proxy-status") == f"PostgREST; error={reply.json()['code']}"
    assert reply.header("x-header") == ("str" if status == 332 else None)


@pytest.mark.parametrize("name", ["shop.before", "before"])
def test_a_function_is_called_before_each_request(serve: Serve, name: str) -> None:
    client = serve("postgresql", ON_POSTGRESQL, schemas=["shop"], pre_request=name)
    for _ in range(2):
        assert client.get("/rest/v1/rpc/who", headers={"x-who": "ann"}).expect(200).json() == "authenticated"
        assert client.get("/rest/v1/rpc/who").expect(402).json()["message"] == "Pay first"
    reply = client.get("/rest/v1/goods?select=id").expect(200)
    assert (reply.json(), reply.header("cache-control")) == ([{"id": 1}], "no-store")
    client.patch("/rest/v1/goods?id=eq.1", json={"id": 2}, headers={"x-who": "ann"}).expect(401)
    reply = client.patch("/rest/v1/goods?id=eq.1", json={"id": 2}).expect(204)
    assert reply.header("cache-control") == "no-store"
    assert client.get("/rest/v1/goods?select=id").json() == [{"id": 2}]


def test_calls_before_requests_need_postgresql(serve: Serve) -> None:
    with pytest.raises(ConfigError, match="pre_request"):
        serve("sqlite", pre_request="shop.before")
