"""The README's example works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kernel.contracts.database import Database
from kernel.http import Request
from kernel.identity import Identity
from kernel.plugin import hookimpl
from plugins import records
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin

README = Path(records.__file__).parent / "README.md"


def test_the_example_lists_what_is_left_to_do(make_kernel: Any) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
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
