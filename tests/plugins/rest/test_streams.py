"""Answers of any number of rows, made as the database finds them."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel.contracts.database import Database
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin
from plugins.rest import RestPlugin

SCHEMA = """
create table many (id integer primary key, name text, n numeric, kin integer references many (id));
insert into many select i, 'row "' || i || '"', case when i % 3 > 0 then i / 4.0 end, case when i > 1 then 1 end
    from generate_series(1, 1234) as s(i);
create view failing as select id, 1 / (1000 - id) as f from many;
create table few (id integer primary key);
"""

STREAM = {"prefer": "stream"}
LINES = {"accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: Any) -> Any:
    return make_rest_kernel(SCHEMA, role_by_header, rest={"aggregates": True})


@pytest.fixture
def client(kernel: Any) -> Any:
    return kernel.client.with_headers({"x-role": "service_role"})


@pytest.mark.parametrize(
    "query",
    [
        "many?order=id", "many?order=id.desc&limit=700&offset=3&select=id,name", "few", "many?id=eq.0",
        "many?id=in.(4,5)&select=id::text,kin(name)", "many?select=count(),kin&order=kin",
        "many?distinct=true&select=kin&order=kin",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "accept", ["application/json", "text/csv", "application/vnd.pgrst.array+json;nulls=stripped"]
)
def test_a_stream_holds_what_the_answer_would(client: Any, query: str, accept: str) -> None:
    plain = client.get(f"/rest/v1/{query}", headers={"accept": accept}).expect(200)
    stream = client.get(f"/rest/v1/{query}", headers={"accept": accept, **STREAM}).expect(200)
    if accept == "text/csv":
        assert stream.body == plain.body
    assert stream.header("content-type") == plain.header("content-type")
    assert stream.header("preference-applied") == "stream"
    if accept != "text/csv":
        assert stream.json() == plain.json()
        lines = client.get(f"/rest/v1/{query}", headers=LINES).expect(200)
        assert lines.body.endswith(b"\n") or not plain.json()
        if "nulls" not in accept:
            assert [msgspec.json.decode(line) for line in lines.body.splitlines()] == plain.json()


def test_lines_are_a_form_for_writes_and_functions_too(client: Any) -> None:
    headers = {**LINES, "prefer": "return=representation"}
    written = client.post("/rest/v1/few", json=[{"id": 1}, {"id": 2}], headers=headers).expect(201)
    assert written.body == b'{"id":1}\n{"id":2}\n'
    client.delete("/rest/v1/few?id=gt.0").expect(204)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nothing", "PGRST205"), ("many?id=eq.x", "22P02"), ("few?id=eq.x", "22P02"), ("many?nothing=eq.1", "42703"),
        ("many?cursor=&limit=1", "PGRST100"), ("failing?order=id", "22012"), ("failing?order=id.desc", "22012"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_an_error_and_no_half_answer(client: Any, path: str, code: str) -> None:
    for headers in (STREAM, LINES):
        reply = client.get(f"/rest/v1/{path}", headers=headers)
        assert reply.status >= 400 and reply.json()["code"] == code


def test_who_may_not_read_may_not_stream(kernel: Any) -> None:
    error = kernel.client.get("/rest/v1/many", headers=STREAM).expect(401).json()
    assert error["code"] == "42501" and "grant select" in error["hint"]


def test_neither_a_head_nor_a_single_object_nor_a_batch_is_streamed(client: Any) -> None:
    assert client.request("HEAD", "/rest/v1/many", headers=STREAM).expect(200).body == b""
    one = {"accept": "application/vnd.pgrst.object+json", **STREAM}
    assert client.get("/rest/v1/many?id=eq.1&select=id", headers=one).expect(200).json() == {"id": 1}
    operation = {"path": "/rest/v1/many", "headers": STREAM}
    assert client.post("/batch/v1", json=[operation]).expect(400).json()["code"] == "PGRST102"


def test_streams_are_as_long_as_lists_may_be(kernel_factory: Any, role_by_header: Any) -> None:
    plugins = [DatabasePlugin, RecordsPlugin, RestPlugin, role_by_header]
    with kernel_factory(plugins=plugins, settings={"rest": {"max_rows": 3}}) as kernel:
        with kernel.services[Database].schema_transaction() as transaction:
            transaction.script(SCHEMA)
        client = kernel.client.with_headers({"x-role": "service_role"})
        assert client.get("/rest/v1/many", headers=LINES).body.count(b"\n") == 3


MILLION = """
create table many (id integer primary key, name text not null, note text);
insert into many select n, 'row ' || n, 'some more text to make it wide' from generate_series(1, 1000000) as s(n);
create table few (id integer primary key);
grant select on many to anon;
grant insert on few to anon;
"""
MEGABYTE = 1 << 20


@pytest.fixture(params=["sqlite", "postgresql"])
def million(request: pytest.FixtureRequest, tmp_path: Path, serve: Any) -> Any:
    """A server with a table of a million rows, which another process has filled."""
    settings: dict[str, str] = {}
    if request.param == "postgresql":
        settings["database__url"] = request.getfixturevalue("make_postgresql_database")()
    project = tmp_path / "project"
    (project / "migrations").mkdir(parents=True)
    (project / "migrations" / "1_many.sql").write_text(MILLION)
    environment = {**os.environ, **{f"KERNEL_{name.upper()}": value for name, value in settings.items()}}
    subprocess.run(
        [sys.executable, "-m", "kernel", "migrate", "up"], cwd=project, env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    return serve(project, **settings)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("headers", "lines", "end"),
    [
        (LINES, 1_000_000, b"}\n"),
        ({"accept": "text/csv", **STREAM}, 1_000_000, b'ide"'),
        (STREAM, 0, b"}]"),
    ],
    ids=["ndjson", "csv", "json"],
)
def test_a_million_rows_take_little_memory_and_a_slow_client_holds_up_nobody(
    million: Any, memory_of: Any, headers: dict[str, str], lines: int, end: bytes
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", million.port)) as other:
        other.request("GET", "/rest/v1/many?limit=1000", headers=headers)
        other.getresponse().read()
        with memory_of(million.process.pid) as memory:
            found, size, last = streamed(million, headers, other)
    assert (found, last[-len(end) :]) == (lines, end)
    print(f"{size / MEGABYTE:.0f} MB in {memory.most:.1f} MB of memory")
    assert memory.most < 30


def streamed(
    million: Any, headers: dict[str, str], other: http.client.HTTPConnection
) -> tuple[int, int, bytes]:
    """Return the lines, the size and the end of a stream; write by `other` meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", million.port)
    with closing(connection):
        connection.request("GET", "/rest/v1/many", headers=headers)
        reply = connection.getresponse()
        assert reply.status == 200
        # Nothing has been read so far.
        other.request("POST", "/rest/v1/few", b'{"id":1}', {"content-type": "application/json"})
        assert other.getresponse().status == 201
        found = size = 0
        last = b""
        while piece := reply.read(MEGABYTE):
            found += piece.count(b"\n")
            size += len(piece)
            last = (last + piece)[-4:]
    return found, size, last
