"""A project folder and kernels that migrate its database, on both engines in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kernel import Kernel, Plugin
from kernel.cli import output
from kernel.config import Config
from kernel.contracts.database import Database
from plugins.database import DatabasePlugin
from plugins.migrations import MigrationsPlugin


class Project:
    """A folder with migrations; each `boot` is another one on the same database, which `url` names."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.folder = folder
        self.url = url
        self.engine = url.partition(":")[0]
        self.settings: dict[str, Any] = {}
        self._stack = stack

    def write(self, name: str, sql: str) -> Path:
        path = self.folder / "migrations" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(sql)
        return path

    def kernel(self, extra: Sequence[type[Plugin]] = ()) -> Kernel:
        config = Config(
            {"kernel": {"data": "data"}, "database": {"url": self.url, **self.settings}}, project=self.folder
        )
        kernel = Kernel(config, plugins=[*extra, MigrationsPlugin, DatabasePlugin], role="test")
        self._stack.callback(kernel.stop)
        return kernel

    def migrate(self, *arguments: str, extra: Sequence[type[Plugin]] = ()) -> Result:
        """Run ``kernel migrate``; raises what is not an exit."""
        kernel = self.kernel(extra)
        kernel.register()
        (command,) = [command for _, command in kernel.commands() if command.name == "migrate"]
        result = CliRunner().invoke(command, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def does(self, *arguments: str, extra: Sequence[type[Plugin]] = ()) -> list[str]:
        """Run ``kernel migrate up`` or ``down`` and return what it says to have done."""
        rows = json.loads(self.migrate(*arguments, extra=extra).stdout)
        return [f"{row['done']} {row['migration']} of {row['namespace']}" for row in rows]

    def kernel_tables(self) -> set[tuple[str, str]]:
        """Return the tables that are there, without a boot."""
        kernel = self.kernel()
        kernel.register()
        return set(kernel.services[Database].catalogue.tables)

    def boot(self, *extra: type[Plugin]) -> Database:
        """Start a kernel and return its database."""
        kernel = self.kernel(extra)
        kernel.start()
        return kernel.services[Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    return "sqlite:///kernel.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")


@pytest.fixture
def project(tmp_path: Path, url: str) -> Iterator[Project]:
    with ExitStack() as stack:
        yield Project(tmp_path, url, stack)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[type[Plugin]]]:
    """Return a function that writes a package of plugins, with migrations, and imports it."""
    monkeypatch.syspath_prepend(tmp_path / "site")

    def write(package: str, source: str, migrations: dict[str, str]) -> list[type[Plugin]]:
        import importlib

        folder = tmp_path / "site" / package
        (folder / "migrations").mkdir(parents=True)
        (folder / "__init__.py").write_text(f"from kernel import Plugin\n{source}")
        for name, sql in migrations.items():
            (folder / "migrations" / name).write_text(sql)
        module = importlib.import_module(package)
        return [value for value in vars(module).values() if isinstance(value, type) and value is not Plugin]

    return write


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands print what a person reads, without colours."""
    monkeypatch.setattr(output, "on_terminal", lambda stream=None: stream is None)
    monkeypatch.setenv("NO_COLOR", "1")
