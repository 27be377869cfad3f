"""The README's example works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.queries import Call, Insert
from kernel.contracts.records import Records
from kernel.http import Request
from kernel.identity import Identity
from kernel.plugin import hookimpl
from plugins import records
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin

README = Path(records.__file__).parent / "README.md"


def test_the_bank_of_the_example_transfers(make_kernel: Any) -> None:
    (code,) = re.findall(r"```python\n(from decimal .*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    kernel = make_kernel(plugins=[DatabasePlugin, RecordsPlugin, names["BankPlugin"]])
    database = kernel.services[Database]
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table accounts (id integer primary key, amount numeric(12, 2));"
            "grant select, update on accounts to authenticated; insert into accounts values (1, 5), (2, 0);"
        )
    call, ann = kernel.services[Records].call, Identity("authenticated", "ann")
    transfer = Call(
        "transfer", ("sender", "recipient", "amount"), '{"sender": 1, "recipient": 2, "amount": 3}'
    )
    assert call(transfer, ann).body == b"2.00"
    with pytest.raises(DatabaseError, match="too little"):
        call(transfer, ann)
    assert database.query("select id, amount from accounts order by id") == [(1, "2.00"), (2, "3.00")]


def test_the_hooks_of_orders_take_part_in_their_writes(make_kernel: Any) -> None:
    (code,) = re.findall(r"```python\n(from kernel import Plugin, Veto.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    kernel = make_kernel(plugins=[DatabasePlugin, RecordsPlugin, names["OrdersPlugin"]])
    database = kernel.services[Database]
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table orders (id integer primary key, quantity integer, customer text);"
            "create table outbox (order_id integer); grant select, insert on orders to authenticated;"
        )
    ann = Identity("authenticated", "ann")
    insert = kernel.services[Records].insert
    insert(Insert("orders", ("id", "quantity"), '[{"id": 1, "quantity": 7}]', 1), ann)
    with pytest.raises(DatabaseError, match="so many are not in stock"):
        insert(Insert("orders", ("id", "quantity"), '[{"id": 2, "quantity": 700}]', 1), ann)
    assert database.query("select * from orders") == [(1, 7, "ann")]
    assert database.query("select * from outbox") == [(1,)]


def test_the_example_lists_what_is_left_to_do(make_kernel: Any) -> None:
    *_, code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)

    class Todos(names["TodosPlugin"]):  # type: ignore[misc]
        @hookimpl
        def kernel_identify(self, request: Request) -> Identity:
            return Identity("service_role")

    kernel = make_kernel(plugins=[DatabasePlugin, RecordsPlugin, Todos])
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(
            "create table todos (id integer primary key, task text, done boolean);"
            "insert into todos values (1, 'sow', true), (2, 'reap', false), (3, 'rest', null);"
        )
    reply = kernel.client.get("/todos/v1/open").expect(200)
    assert reply.json() == [{"id": 2, "task": "reap"}, {"id": 3, "task": "rest"}]
