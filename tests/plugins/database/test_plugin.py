"""The plugin in a kernel: settings, services, health, and what its import costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts import Database, Imaged, Signals
from kernel.errors import KernelError
from plugins.database import DatabasePlugin


def test_it_provides_the_database_and_its_signals(make_kernel: Any) -> None:
    kernel = make_kernel(plugins=[DatabasePlugin])
    database = kernel.services.get(Database)
    assert database.query("select 1 + 1") == [(2,)]
    assert isinstance(database, Imaged)
    assert database.in_memory
    heard: list[str] = []
    kernel.services.get(Signals).listen("topic", heard.append)
    kernel.services.get(Signals).send("topic", "news")
    assert heard == ["news"]


def test_two_kernels_share_nothing(make_kernel: Any) -> None:
    one, other = (make_kernel(plugins=[DatabasePlugin]).services.get(Database) for _ in range(2))
    with one.schema_transaction() as transaction:
        transaction.script("create table t (id int)")
    assert one.catalogue.table("t") is not None
    assert other.catalogue.table("t") is None


def test_time_and_ids_come_from_the_kernel(make_kernel: Any) -> None:
    kernel = make_kernel(plugins=[DatabasePlugin], now="2024-02-29T12:00:00Z")
    ((now, key),) = kernel.services.get(Database).query("select now(), gen_random_uuid()")
    assert now == "2024-02-29T12:00:00+00:00"
    assert len(key) == 36


def test_a_url_of_another_engine_is_refused(make_kernel: Any) -> None:
    with pytest.raises(KernelError, match="sqlite:///"):
        make_kernel(plugins=[DatabasePlugin], settings={"database": {"url": "mysql://localhost/db"}})


def test_a_file_is_made_in_the_data_folder(make_kernel: Any) -> None:
    kernel = make_kernel(plugins=[DatabasePlugin], settings={"database": {"url": "sqlite:///kernel.db"}})
    with kernel.services.get(Database).transaction():
        pass
    assert (kernel.data / "kernel.db").is_file()


def test_health_names_what_is_wrong(make_kernel: Any) -> None:
    kernel = make_kernel(plugins=[DatabasePlugin])
    plugin = next(record.plugin for record in kernel.records if record.name == "database")
    assert plugin.kernel_health() == {"database": None}
    kernel.services.get(Database).close()
    assert plugin.kernel_health() == {"database": "does not answer (DatabaseUnavailable)"}


def test_importing_the_plugin_imports_no_engine() -> None:
    program = "import sys, plugins.database; print(sorted({'apsw', 'postgast', 'google.protobuf'} & set(sys.modules)))"
    root = Path(__file__).parents[3]
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_readmes_example_gives_what_it_says(kernel_factory: Any) -> None:
    text = (Path(__file__).parents[3] / "plugins" / "database" / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec", dont_inherit=True), namespace)
    assert namespace["example"](kernel_factory) == [("Write the README", "2024-05-01T10:00:00+00:00")]
