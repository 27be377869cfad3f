"""Plugins that take part in writes, within their transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from kernel.contracts.database import Database, Transaction
from kernel.contracts.queries import Delete, Insert, Update
from kernel.contracts.records import Records
from kernel.events import Veto
from kernel.identity import Identity
from kernel.plugin import Plugin, hookimpl
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin

RETURNING = {"prefer": "return=representation"}
MERGE = {"prefer": "resolution=merge-duplicates"}

SCHEMA = """
create table things (id integer primary key, name text, price numeric(8, 2), owner text default 'nobody', n bigint);
create table outbox (number integer generated always as identity primary key, note text not null);
create table letters (recipient text, body text);
alter table letters enable row level security;
create policy anyone_writes on letters for insert to authenticated with check (true);
create policy own on letters for select to authenticated using (recipient = auth.uid()::text);
grant select, insert on letters to authenticated;
grant insert on things to anon;
"""


class Meddler(Plugin):
    """Does in each hook what a test gives it to do."""

    name = "meddler"
    before: Callable[..., None] | None = None
    after: Callable[..., None] | None = None

    @hookimpl
    def records_before_write(
        self, write: Any, rows: list[dict[str, Any]], identity: Identity, transaction: Transaction
    ) -> None:
        if self.before is not None:
            self.before(write, rows, identity, transaction)

    @hookimpl
    def records_after_write(
        self, write: Any, rows: Any, count: int, identity: Identity, transaction: Transaction
    ) -> None:
        if self.after is not None:
            self.after(write, rows, count, identity, transaction)


class Told:
    """What a meddler was told after writes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, int]] = []

    def __call__(self, write: Any, rows: Any, count: int, *_: Any) -> None:
        self.calls.append((type(write).__name__, rows, count))


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: type[Plugin]) -> Any:
    return make_rest_kernel(SCHEMA, role_by_header, Meddler, rest={"tx_end": "commit-allow-override"})


@pytest.fixture
def meddler(kernel: Any) -> Iterator[Meddler]:
    meddler: Meddler = kernel.plugins["meddler"]
    yield meddler
    meddler.before = meddler.after = None
    with kernel.services[Database].transaction() as transaction:
        transaction.script("delete from things; delete from outbox; delete from letters")


@pytest.fixture
def client(kernel: Any, meddler: Meddler) -> Any:
    return kernel.client.with_headers({"x-role": "service_role"})


def rows_of(kernel: Any, table: str) -> Any:
    return kernel.client.get(f"/rest/v1/{table}", headers={"x-role": "service_role"}).expect(200).json()


def test_a_hook_changes_what_an_insert_writes(client: Any, meddler: Meddler) -> None:
    def before(write: Any, rows: list[dict[str, Any]], identity: Identity, _: Transaction) -> None:
        assert isinstance(write, Insert)
        for row in rows:
            assert row["price"] == Decimal("1.10") and isinstance(row["price"], Decimal)
            row["owner"] = identity.role
            row["name"] = row["name"].upper()
            row["n"] = 9_007_199_254_740_993
            del row["price"]

    meddler.before = before
    body = b'[{"id":1,"name":"a","price":1.10},{"id":2,"name":"b","price":1.10}]'
    headers = {**RETURNING, "content-type": "application/json"}
    written = client.post("/rest/v1/things", body=body, headers=headers).expect(201).json()
    one = {"id": 1, "name": "A", "price": None, "owner": "service_role", "n": 9_007_199_254_740_993}
    assert written == [one, {**one, "id": 2, "name": "B"}]


def test_a_hook_adds_and_takes_away_rows(kernel: Any, client: Any, meddler: Meddler) -> None:
    meddler.before = lambda write, rows, *_: rows.append({"id": 2, "name": "also"})
    client.post("/rest/v1/things", json={"id": 1, "name": "given"}).expect(201)
    assert [row["name"] for row in rows_of(kernel, "things")] == ["given", "also"]
    meddler.before = lambda write, rows, *_: rows.clear()
    client.post("/rest/v1/things", json={"id": 3, "name": "given"}).expect(201)
    assert len(rows_of(kernel, "things")) == 2


def test_a_hook_changes_what_an_update_writes(kernel: Any, client: Any, meddler: Meddler) -> None:
    client.post("/rest/v1/things", json=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]).expect(201)

    def before(write: Any, rows: list[dict[str, Any]], *_: Any) -> None:
        assert isinstance(write, Update) and rows == [{"name": "c"}]
        rows[0] = {"name": "d", "owner": "hook"}

    meddler.before = before
    client.patch("/rest/v1/things?id=eq.2", json={"name": "c"}).expect(204)
    assert [(row["name"], row["owner"]) for row in rows_of(kernel, "things")] == [
        ("a", "nobody"),
        ("d", "hook"),
    ]


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("post", "things", {"json": {"id": 2}}),
        ("post", "things", {"json": {"id": 1, "name": "new"}, "headers": MERGE}),
        ("put", "things?id=eq.1", {"json": {"id": 1, "name": "new"}}),
        ("patch", "things?id=eq.1", {"json": {"name": "new"}}),
        ("delete", "things?id=eq.1", {}),
    ],
)
def test_a_veto_leaves_nothing_and_tells_the_client_why(
    kernel: Any, client: Any, meddler: Meddler, hook: str, method: str, path: str, options: Any
) -> None:
    client.post("/rest/v1/things", json={"id": 1, "name": "old"}).expect(201)
    before = rows_of(kernel, "things")

    def refuse(*arguments: Any) -> None:
        arguments[-1].on_behalf_of(None).execute("insert into outbox (note) values ('seen')")
        raise Veto("not on a Sunday")

    setattr(meddler, hook, refuse)
    error = getattr(client, method)(f"/rest/v1/{path}", **options).expect(400).json()
    assert (error["code"], error["message"]) == ("P0001", "not on a Sunday")
    assert (rows_of(kernel, "things"), rows_of(kernel, "outbox")) == (before, [])


def test_what_a_hook_enqueues_stays_if_and_only_if_the_write_does(
    kernel: Any, client: Any, meddler: Meddler
) -> None:
    def after(write: Any, rows: Any, count: int, identity: Identity, transaction: Transaction) -> None:
        kernel_part = transaction.on_behalf_of(None)
        for row in rows:
            kernel_part.execute("insert into outbox (note) values (:note)", {"note": row["name"]})

    meddler.after = after
    client.post("/rest/v1/things", json=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]).expect(201)
    assert [row["note"] for row in rows_of(kernel, "outbox")] == ["a", "b"]
    client.post("/rest/v1/things", json=[{"id": 3, "name": "c"}, {"id": 3, "name": "d"}]).expect(409)
    client.post("/rest/v1/things", json={"id": 4, "name": "e"}, headers={"prefer": "tx=rollback"}).expect(201)
    single = {**RETURNING, "accept": "application/vnd.pgrst.object+json"}
    client.patch("/rest/v1/things", json={"name": "f"}, headers=single).expect(406)
    assert [row["note"] for row in rows_of(kernel, "outbox")] == ["a", "b"]


def test_rows_after_a_write_are_whole_whatever_the_client_wanted(client: Any, meddler: Meddler) -> None:
    meddler.after = told = Told()
    returned = client.post(
        "/rest/v1/things?select=name", json={"id": 1, "price": 2.5}, headers=RETURNING
    ).expect(201)
    assert returned.json() == [{"name": None}]
    client.patch("/rest/v1/things", json={"name": "x"}).expect(204)
    client.put("/rest/v1/things?id=eq.1", json={"id": 1, "name": "y"}).expect(204)
    client.delete("/rest/v1/things").expect(204)
    row = {"id": 1, "name": None, "price": Decimal("2.50"), "owner": "nobody", "n": None}
    assert told.calls == [
        ("Insert", [row], 1),
        ("Update", [{**row, "name": "x"}], 1),
        ("Insert", [{**row, "name": "y"}], 1),
        ("Delete", [{**row, "name": "y"}], 1),
    ]


def test_hooks_take_part_in_batches(kernel: Any, client: Any, meddler: Meddler) -> None:
    meddler.after = told = Told()
    operations = [
        {"method": "POST", "path": "/rest/v1/things", "body": {"id": 1}},
        {"method": "DELETE", "path": "/rest/v1/things?id=eq.1"},
    ]
    client.post("/batch/v1", json=operations).expect(200)
    assert [call[::2] for call in told.calls] == [("Insert", 1), ("Delete", 1)]

    def refuse(write: Any, *_: Any) -> None:
        if isinstance(write, Delete):
            raise Veto("nothing is deleted here")

    meddler.before = refuse
    error = client.post("/batch/v1", json=operations).expect(400).json()
    assert (error["message"], error["operation"]) == ("nothing is deleted here", 1)
    assert rows_of(kernel, "things") == []


def test_hooks_take_part_in_imports(kernel: Any, client: Any, meddler: Meddler) -> None:
    def refuse(write: Any, rows: list[dict[str, Any]], *_: Any) -> None:
        if any(row["name"] == "bad" for row in rows):
            raise Veto("bad things are not taken")

    meddler.before, meddler.after = refuse, (told := Told())
    lines = {"content-type": "application/x-ndjson"}
    body = b'{"id":1,"name":"good"}\n{"id":2,"name":"bad"}\n{"id":3,"name":"good"}\n'
    error = client.post("/import/v1/things", body=body, headers=lines).expect(400).json()
    assert error["details"] == [{"line": 2, "code": "P0001", "message": "bad things are not taken"}]
    assert rows_of(kernel, "things") == []
    told.calls.clear()
    client.post("/import/v1/things", body=body.replace(b"bad", b"fine"), headers=lines).expect(201)
    assert [call[::2] for call in told.calls] == [("Insert", 3)]


def test_who_may_write_without_reading_still_may(kernel: Any, meddler: Meddler) -> None:
    meddler.after = told = Told()
    kernel.client.post("/rest/v1/things", json=[{"id": 1}, {"id": 2}]).expect(201)
    ann = {"x-role": "authenticated"}
    kernel.client.post("/rest/v1/letters", json={"recipient": "bob", "body": "hi"}, headers=ann).expect(201)
    assert told.calls == [("Insert", None, 2), ("Insert", None, 1)]
    assert kernel.client.patch("/rest/v1/things", json={"id": 3}).expect(401).json()["code"] == "42501"


def test_a_hooks_failure_is_no_clients_business(kernel: Any, client: Any, meddler: Meddler) -> None:
    meddler.after = lambda *_: {}["secret"]
    reply = client.post("/rest/v1/things", json={"id": 1}).expect(500)
    assert b"secret" not in reply.body
    assert rows_of(kernel, "things") == []


def test_nothing_to_write_is_nothing_to_hook(client: Any, meddler: Meddler) -> None:
    meddler.after = told = Told()
    meddler.before = lambda *_: pytest.fail("nothing is written")
    client.post("/rest/v1/things", json=[]).expect(201)
    client.patch("/rest/v1/things", json={}).expect(204)
    assert told.calls == []


def test_without_hooks_that_want_rows_a_write_stays_one_statement(kernel_factory: Any) -> None:
    class Indifferent(Plugin):
        name = "indifferent"

        @hookimpl
        def records_after_write(self, count: int) -> None:
            """Takes no rows."""

    with kernel_factory(plugins=[DatabasePlugin, RecordsPlugin, Indifferent]) as kernel:
        database: Any = kernel.services[Database]
        with database.schema_transaction() as transaction:
            transaction.script("create table things (id integer primary key)")
        statements: list[str] = []
        database.connections.writer().connection.exec_trace = lambda _, sql, __: bool(
            statements.append(sql) or 1
        )
        kernel.services[Records].insert(Insert("things", ("id",), '[{"id":1}]', 1), Identity("service_role"))
        kinds = [sql.split()[0] for sql in statements]
        assert kinds == ["BEGIN", "INSERT", "COMMIT"]
        assert "RETURNING" not in statements[1]
