"""A project folder and kernels that migrate its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from kernel import Kernel, Plugin
from kernel.config import Config
from kernel.contracts.database import Database
from plugins.database import DatabasePlugin
from plugins.migrations import MigrationsPlugin


class Project:
    """A folder with migrations; each `start` is another boot on the same database."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def write(self, name: str, sql: str) -> Path:
        path = self.folder / "migrations" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(sql)
        return path

    def kernel(self, extra: Sequence[type[Plugin]] = ()) -> Kernel:
        config = Config({"kernel": {"data": "data"}}, project=self.folder)
        kernel = Kernel(config, plugins=[*extra, MigrationsPlugin, DatabasePlugin], role="test")
        self._stack.callback(kernel.stop)
        return kernel

    def boot(self, *extra: type[Plugin]) -> Database:
        """Start a kernel and return its database."""
        kernel = self.kernel(extra)
        kernel.start()
        return kernel.services[Database]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with ExitStack() as stack:
        yield Project(tmp_path, stack)


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
