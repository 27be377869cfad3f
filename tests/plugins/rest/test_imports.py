"""Large bodies of rows: all of them in one transaction, or what is wrong with which."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import Database

SCHEMA = """
create table things (
    id integer primary key,
    name text not null,
    price numeric(8, 2) check (price >= 0),
    made timestamptz default '2024-01-01',
    doc jsonb
);
create table owned (id integer primary key, owner text);
alter table owned enable row level security;
create policy own on owned to authenticated using (owner = 'me') with check (owner = 'me');
grant select, insert on owned to authenticated;
"""

CSV = {"content-type": "text/csv"}
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: Any) -> Any:
    return make_rest_kernel(
        SCHEMA, role_by_header, rest={"tx_end": "commit-allow-override", "import_bytes": 10_000_000}
    )


@pytest.fixture
def client(kernel: Any) -> Any:
    with kernel.services[Database].transaction() as transaction:
        transaction.script("delete from things; delete from owned")
    return kernel.client.with_headers({"x-role": "service_role"})


def sent(client: Any, body: str | bytes, kind: dict[str, str], query: str = "", **headers: str) -> Any:
    data = body if isinstance(body, bytes) else body.encode()
    return client.post(f"/import/v1/things{query}", body=data, headers={**kind, **headers})


def rows(client: Any, query: str = "") -> Any:
    return client.get(f"/rest/v1/things?order=id{query}").expect(200).json()


def faults(reply: Any) -> list[tuple[int, str]]:
    return [(fault["line"], fault["code"]) for fault in reply.expect(400).json()["details"]]


def test_csv_is_imported(client: Any) -> None:
    body = '\ufeffid,name,price,doc\n1,"a, ""b""\nc",1.50,"{""k"": 1.0}"\n\n2,NULL?,NULL,NULL\n'
    assert sent(client, body, CSV).expect(201).json() == {"rows": 2}
    assert rows(client, "&select=id,name,price,doc") == [
        {"id": 1, "name": 'a, "b"\nc', "price": 1.5, "doc": {"k": 1.0}},
        {"id": 2, "name": "NULL?", "price": None, "doc": None},
    ]


def test_lines_of_json_are_imported(client: Any) -> None:
    body = '\ufeff{"id": 1, "name": "é\\n", "doc": [1.50]}\r\n\n{"doc": null, "name": "b", "id": 2}'
    assert sent(client, body, LINES).expect(201).json() == {"rows": 2}
    found = rows(client, "&select=id,name,doc")
    assert [(row["id"], row["name"], row["doc"]) for row in found] == [(1, "é\n", [1.5]), (2, "b", None)]


def test_many_rows_are_imported_in_their_order(client: Any) -> None:
    lines = [f"{number},n{number}" for number in range(1234)]
    assert sent(client, "id,name\n" + "\n".join(lines), CSV).expect(201).json() == {"rows": 1234}
    assert [row["id"] for row in rows(client)] == list(range(1234))


@pytest.mark.parametrize("kind", [CSV, LINES], ids=["csv", "lines"])
def test_nothing_is_nothing(client: Any, kind: dict[str, str]) -> None:
    assert sent(client, "", kind).expect(201).json() == {"rows": 0}
    assert sent(client, "\n\n", kind).expect(201).json() == {"rows": 0}


def test_each_fault_is_told_with_its_line_and_nothing_is_written(client: Any) -> None:
    lines = ["id,name,price", '0,"two\nlines",1']
    lines += [f"{number},n,1" for number in range(1, 700)]
    lines[10], lines[300], lines[600] = "x,n,1", "9000,NULL,1", "1,again,1"
    lines[650], lines[651], lines[652] = "9001,n", "9002,n,-1", "9003,n,1e9"
    reply = sent(client, "\n".join(lines), CSV)
    assert faults(reply) == [
        (12, "22P02"), (302, "23502"), (602, "23505"), (652, "PGRST102"), (653, "23514"), (654, "22003"),
    ]  # fmt: skip
    error = reply.json()
    assert error["message"] == "6 lines cannot be imported; nothing was"
    assert error["details"][0]["message"] == 'invalid input syntax for type integer: "x"'
    assert rows(client) == []


def test_lines_that_are_no_objects_are_told(client: Any) -> None:
    body = '{"id": 1, "name": "a"}\n[1]\n{"id": 2\n{"id": 3, "name": "b", "price": 1}\n{"id": 4, "name": "\\u0000"}\n'
    reply = sent(client, body, LINES)
    assert faults(reply) == [(2, "PGRST102"), (3, "PGRST102"), (4, "PGRST102"), (5, "22P05")]
    assert "columns" in reply.json()["details"][2]["message"]
    assert rows(client) == []


def test_only_so_many_faults_are_told(client: Any) -> None:
    reply = sent(client, "id,name\n" + "\n".join(f"x{number},n" for number in range(2000)), CSV)
    assert len(faults(reply)) == 100
    assert reply.json()["hint"] == "There may be more: reading ended after 100."


def test_columns_that_lack_become_null_or_their_defaults(client: Any) -> None:
    body = '{"id": 1, "name": "a", "other": 1}\n{"id": 2, "name": "b", "made": "2025-01-01T00:00:00Z"}\n'
    sent(client, body, LINES, "?columns=id,name,made").expect(201)
    assert [row["made"] for row in rows(client)] == [None, "2025-01-01T00:00:00+00:00"]
    client.delete("/rest/v1/things?id=gt.0").expect(204)
    sent(client, body, LINES, "?columns=id,name,made", prefer="missing=default").expect(201)
    assert [row["made"][:4] for row in rows(client)] == ["2024", "2025"]


def test_rows_that_are_there_are_merged_or_ignored(client: Any) -> None:
    sent(client, "id,name\n1,a\n2,b", CSV).expect(201)
    reply = sent(client, "id,name\n2,c\n3,d", CSV, prefer="resolution=merge-duplicates").expect(201)
    assert reply.json() == {"rows": 2}
    assert reply.header("preference-applied") == "resolution=merge-duplicates"
    assert [row["name"] for row in rows(client)] == ["a", "c", "d"]
    ignored = sent(client, "id,name\n3,e\n4,f", CSV, prefer="resolution=ignore-duplicates").expect(201)
    assert ignored.json() == {"rows": 1}


def test_an_import_can_be_tried(client: Any) -> None:
    assert sent(client, "id,name\n1,a", CSV, prefer="tx=rollback").expect(201).json() == {"rows": 1}
    assert rows(client) == []


@pytest.mark.parametrize(
    ("body", "kind", "query", "code"),
    [
        ("id,nothing\n1,a", CSV, "", "PGRST204"),
        ("id,id\n1,2", CSV, "", "PGRST102"),
        ("[]", {"content-type": "application/json"}, "", "PGRST102"),
        ("id,name\n1,a", {**CSV, "content-encoding": "gzip"}, "", "PGRST102"),
        ("id,name\n1,a", {**CSV, "idempotency-key": "k"}, "", "PGRST127"),
        ("id,name\n1,a", {**CSV, "prefer": "resolution=merge-duplicates"}, "?on_conflict=price", "42P10"),
    ],
)
def test_what_is_wrong_with_all_of_it_is_told_once(
    client: Any, body: str, kind: dict[str, str], query: str, code: str
) -> None:
    assert sent(client, body, kind, query).expect(400).json()["code"] == code
    assert rows(client) == []


def test_where_reading_cannot_go_on_it_says_so(client: Any) -> None:
    assert faults(sent(client, 'id,name\n1,a\n2,"b\n', CSV)) == [(3, "PGRST102")]
    assert faults(sent(client, b"id,name\n1,\xff\n", CSV)) == [(1, "PGRST102")]
    assert faults(sent(client, b'{"id": 1, "name": "\xff"}\n', LINES)) == [(1, "PGRST102")]
    assert faults(sent(client, "id,name,doc\n1,a,{\n", CSV)) == [(2, "PGRST102")]
    assert faults(sent(client, '{"id": 1, "name": "' + "x" * (9 << 20), LINES)) == [(1, "PGRST102")]
    assert sent(client, "x" * 10_000_001, CSV).status == 413


def test_rights_and_policies_hold(kernel: Any) -> None:
    anyone = kernel.client
    assert sent(anyone, "id,name\n1,a", CSV).expect(401).json()["code"] == "42501"
    me = kernel.client.with_headers({"x-role": "authenticated"})
    reply = me.post("/import/v1/owned", body=b"id,owner\n1,me\n2,you\n3,me", headers=CSV)
    assert faults(reply) == [(3, "42501")]
    assert me.get("/rest/v1/owned").json() == []
    me.post("/import/v1/owned", body=b"id,owner\n1,me\n3,me", headers=CSV).expect(201)
    assert me.post("/import/v1/nothing", body=b"", headers=CSV).expect(404).json()["code"] == "PGRST205"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_million_rows_are_imported_in_little_memory(
    engine: str, tmp_path: Path, serve: Any, memory_of: Any, request: pytest.FixtureRequest
) -> None:
    settings: dict[str, str] = {}
    if engine == "postgresql":
        settings["database__url"] = request.getfixturevalue("make_postgresql_database")()
    (tmp_path / "project" / "migrations").mkdir(parents=True)
    (tmp_path / "project" / "migrations" / "1_things.sql").write_text(SCHEMA)
    server = serve(tmp_path / "project", **settings)
    file = tmp_path / "things.csv"
    with file.open("w") as written:
        written.write("id,name,price\n")
        written.writelines(f"{number},the name of {number},{number / 4}\n" for number in range(1_000_000))
    headers = {**CSV, "authorization": f"Bearer {server.service_key}"}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("POST", "/import/v1/owned", b"id,owner\n1,me", headers)
        assert connection.getresponse().read() == b'{"rows":1}'
        with file.open("rb") as body, memory_of(server.process.pid) as memory:
            length = {"content-length": str(file.stat().st_size)}
            connection.request("POST", "/import/v1/things", body, {**headers, **length})
            assert connection.getresponse().read() == b'{"rows":1000000}'
    print(f"{file.stat().st_size / (1 << 20):.0f} MB in {memory.most:.1f} MB of memory")
    assert memory.most < 30
