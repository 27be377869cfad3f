"""Media types, transactions' ends and timing, over whole requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from csv import DictReader
from io import StringIO
from typing import Any

import pytest

from kernel.contracts.database import Database
from kernel.testing.client import Client
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin
from plugins.rest import RestPlugin

Serve = Callable[..., Client]


@pytest.fixture(params=["sqlite", "postgresql"])
def serve(request: pytest.FixtureRequest, kernel_factory: Any) -> Iterator[Serve]:
    """Return a function that serves one table with the settings it is given."""

    kernels = []

    def serve(**settings: Any) -> Client:
        sections: dict[str, Any] = {"rest": settings}
        if request.param == "postgresql":
            sections["database"] = {"url": request.getfixturevalue("make_postgresql_database")()}
        kernel = kernel_factory(plugins=[DatabasePlugin, RecordsPlugin, RestPlugin], settings=sections)
        kernels.append(kernel)
        with kernel.services[Database].schema_transaction() as transaction:
            transaction.script(
                "create table things (id integer primary key, name text, extra jsonb);"
                "grant all on things to anon;"
                """insert into things values (1, 'one', '{"a": null, "b": 1}'), (2, null, null);"""
            )
        client: Client = kernel.client
        return client

    yield serve
    for kernel in kernels:
        kernel.stop()


def test_nulls_are_stripped_from_what_is_read_and_written(serve: Serve) -> None:
    client = serve()
    array = {"accept": "application/vnd.pgrst.array+json;nulls=stripped"}
    reply = client.get("/rest/v1/things?order=id", headers=array).expect(200)
    assert reply.json() == [{"id": 1, "name": "one", "extra": {"b": 1}}, {"id": 2}]
    assert reply.header("content-type") == f"{array['accept']}; charset=utf-8"
    single = {
        "accept": "application/vnd.pgrst.object+json;nulls=stripped",
        "prefer": "return=representation",
    }
    reply = client.post("/rest/v1/things", json={"id": 3, "name": None}, headers=single).expect(201)
    assert reply.json() == {"id": 3}
    assert reply.header("content-type") == f"{single['accept']}; charset=utf-8"


def test_rows_come_as_csv_with_postgresql_s_text(serve: Serve) -> None:
    client = serve()
    with client.kernel.services[Database].schema_transaction() as transaction:
        transaction.script(
            """
            create table texts (
                id integer primary key, t text, b boolean, x numeric(6, 2), m timestamptz, a text[], j jsonb,
                thing integer references things
            );
            grant all on texts to anon;
            insert into texts values
                (1, 'plain', true, 1.5, '2024-01-02 03:04:05+00', '{a,"b c"}', '{"k": [1, null]}', 1),
                (2, E'two "words",\nand a line', false, null, null, null, null, null),
                (3, '', null, null, null, null, null, null);
            """
        )
    csv = {"accept": "text/csv"}
    reply = client.get("/rest/v1/texts?order=id&select=*,name:t,things(id)", headers=csv).expect(200)
    assert reply.header("content-type") == "text/csv; charset=utf-8"
    assert reply.text.split("\n", 1)[0] == "id,t,b,x,m,a,j,thing,name,things"
    first, second, _ = list(DictReader(StringIO(reply.text, newline="")))
    assert first == {
        "id": "1", "t": "plain", "b": "t", "x": "1.50", "m": "2024-01-02 03:04:05+00", "a": '{a,"b c"}',
        "j": '{"k": [1, null]}', "thing": "1", "name": "plain", "things": '{"id":1}',
    }  # fmt: skip
    assert (second["t"], second["b"], second["x"]) == ('two "words",\nand a line', "f", "")
    assert reply.text.endswith('\n3,"",,,,,,,"",')
    assert client.get("/rest/v1/texts?id=eq.9", headers=csv).expect(200).text == "\n"
    representation = {**csv, "prefer": "return=representation"}
    reply = client.patch("/rest/v1/texts?id=eq.3&select=id,b", json={"b": True}, headers=representation)
    assert reply.expect(200).text == "id,b\n3,t"


WRITES = [
    ("POST", "things", {"id": 9}, 201),
    ("PUT", "things?id=eq.1", {"id": 1, "name": "new"}, 200),
    ("PATCH", "things?id=eq.1", {"name": "newer"}, 200),
    ("DELETE", "things?id=eq.1", None, 200),
]


def test_a_write_may_be_undone_at_its_end(serve: Serve) -> None:
    client = serve(tx_end="commit-allow-override")

    def rows() -> Any:
        return client.get("/rest/v1/things?order=id").json()

    for method, path, json, status in WRITES:
        before = rows()
        body: dict[str, Any] = {} if json is None else {"json": json}
        for undone in (", tx=rollback", ""):
            headers = {"prefer": f"return=representation{undone}"}
            reply = client.request(method, f"/rest/v1/{path}", headers=headers, **body).expect(status)
            assert reply.header("preference-applied") == headers["prefer"]
            assert [row["id"] for row in reply.json()] == [9 if method == "POST" else 1]
            assert (rows() == before) == bool(undone), (method, undone)


@pytest.mark.parametrize(
    ("tx_end", "prefer", "kept", "said"),
    [
        ("commit", "tx=rollback", True, None),
        ("commit-allow-override", "tx=commit", True, "tx=commit"),
        ("rollback", "tx=commit", False, None),
        ("rollback-allow-override", "", False, None),
        ("rollback-allow-override", "tx=commit", True, "tx=commit"),
    ],
)
def test_how_writes_end_is_a_setting(
    serve: Serve, tx_end: str, prefer: str, kept: bool, said: str | None
) -> None:
    client = serve(tx_end=tx_end)
    reply = client.post("/rest/v1/things", json={"id": 9}, headers={"prefer": prefer}).expect(201)
    assert reply.header("preference-applied") == said
    assert len(client.get("/rest/v1/things?id=eq.9").json()) == kept


def test_a_refused_write_is_refused_though_it_would_be_undone(serve: Serve) -> None:
    client = serve(tx_end="rollback")
    assert client.post("/rest/v1/things", json={"id": 1}).expect(409).json()["code"] == "23505"


def test_answers_tell_how_long_their_parts_took_only_if_they_are_to(serve: Serve) -> None:
    assert serve().get("/rest/v1/things").header("server-timing") is None
    client = serve(server_timing=True)
    for method, parts in (
        ("GET", "jwt parse plan transaction response"),
        ("DELETE", "jwt parse plan transaction response"),
        ("OPTIONS", "jwt parse plan response"),
    ):
        said = client.request(method, "/rest/v1/things?id=eq.99").header("server-timing")
        assert re.fullmatch(", ".join(rf"{part};dur=\d+\.\d" for part in parts.split()), said or "")


def test_a_range_past_the_end_says_how_many_rows_there_are(serve: Serve) -> None:
    reply = serve().get("/rest/v1/things?offset=5", headers={"prefer": "count=exact"}).expect(416)
    assert reply.header("content-range") == "*/2"


def test_how_many_rows_were_written_is_counted_and_not_planned(serve: Serve) -> None:
    client = serve()
    for count, said in (("exact", "*/1"), ("estimated", "*/0"), ("planned", "*/*")):
        reply = client.delete("/rest/v1/things?id=eq.1", headers={"prefer": f"count={count}"}).expect(204)
        assert reply.header("content-range") == said


def test_errors_tell_less_where_they_are_to(serve: Serve) -> None:
    client = serve(error_verbosity="minimal")
    for method, path in (("GET", "thing"), ("GET", "things/1"), ("PUT", "rpc/x"), ("GET", "things?id=eq.x")):
        error = client.request(method, f"/rest/v1/{path}").json()
        assert error.keys() == {"code", "message"}


@pytest.mark.parametrize("serve", ["postgresql"], indirect=True)
def test_a_total_is_what_the_planner_expects_where_that_is_enough(serve: Serve) -> None:
    client = serve(max_rows=3)
    with client.kernel.services[Database].schema_transaction() as transaction:
        transaction.script(
            "insert into things select n from generate_series(3, 1000) n; analyze things;"
            "delete from things where id > 500"
        )

    def total(count: str, query: str = "") -> str:
        reply = client.get(f"/rest/v1/things?{query}", headers={"prefer": f"count={count}"})
        return (reply.header("content-range") or "").rpartition("/")[2]

    assert (total("exact"), total("planned"), total("estimated")) == ("500", "1000", "1000")
    assert (total("estimated", "id=lt.4"), total("planned", "id=eq.5")) == ("3", "1")
    assert total("planned", "id=gt.400&limit=1") == "600"


PLANNED = [
    ("GET", "things?id=eq.1", None),
    ("POST", "things", {"id": 9}),
    ("PUT", "things?id=eq.1", {"id": 1}),
    ("PATCH", "things?id=eq.1", {"name": "newer"}),
    ("DELETE", "things?id=eq.1", None),
    ("POST", "rpc/twice", {"n": 2}),
]


@pytest.mark.parametrize("serve", ["postgresql"], indirect=True)
def test_a_statement_is_explained_and_not_run_where_that_is_allowed(serve: Serve) -> None:
    client = serve(plans=True)
    with client.kernel.services[Database].schema_transaction() as transaction:
        transaction.script("create function twice(n int) returns int language sql volatile as 'select 2 * n'")
    before = client.get("/rest/v1/things?order=id").json()
    for method, path, json in PLANNED:
        headers = {"accept": "application/vnd.pgrst.plan+json; options=verbose"}
        reply = client.request(method, f"/rest/v1/{path}", json=json, headers=headers).expect(200)
        assert reply.json()[0]["Plan"]["Node Type"] in ("Aggregate", "ModifyTable")
        told = 'application/vnd.pgrst.plan+json; for="application/json"; options=verbose; charset=utf-8'
        assert reply.header("content-type") == told
    assert client.get("/rest/v1/things?order=id").json() == before
    headers = {"accept": 'application/vnd.pgrst.plan; for="text/csv"'}
    reply = client.get("/rest/v1/things?id=eq.1", headers=headers).expect(200)
    assert reply.text.startswith("Aggregate")
    assert 'for="text/csv"' in (reply.header("content-type") or "")


def test_plans_are_no_media_type_elsewhere(serve: Serve, request: pytest.FixtureRequest) -> None:
    client = serve(plans=request.node.callspec.params["serve"] == "sqlite")
    headers = {"accept": "application/vnd.pgrst.plan"}
    assert client.get("/rest/v1/things", headers=headers).expect(406).json()["code"] == "PGRST107"
