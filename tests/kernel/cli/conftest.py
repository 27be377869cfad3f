"""The command line in this process, as a process of its own, and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting from outside; what a command appends to the module path goes again."""
    for name in [name for name in os.environ if name.startswith("KERNEL_") and "__" in name]:
        monkeypatch.delenv(name)
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(project: Path) -> Run:
    """Return a function that runs `kernel` with these arguments in this process, in `project`."""
    from kernel.cli.app import cli

    def invoke(*arguments: str, **environment: str) -> Result:
        result = CliRunner().invoke(cli, arguments, prog_name="kernel", env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def terminal(project: Path) -> Callable[..., str]:
    """Return a function that runs `kernel` on a terminal of 120 columns, and gives what is seen there."""

    def show(*arguments: str, **environment: str) -> str:
        controller, end = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        process = subprocess.Popen(
            [sys.executable, "-m", "kernel", *arguments],
            cwd=project,
            env={**clean, "COLUMNS": "120", "TERM": "xterm-256color", **environment},
            stdin=end,
            stdout=end,
            stderr=end,
        )
        os.close(end)
        seen = b""
        try:
            while piece := os.read(controller, 65536):
                seen += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        process.wait(30)
        os.close(controller)
        return seen.decode().replace("\r\n", "\n")

    return show


@pytest.fixture
def write_plugin(project: Path) -> Callable[[str], str]:
    """Return a function that writes a plugin's class into a module of the project, and gives its ``module:Class``."""
    numbers = count()

    def write(source: str) -> str:
        # Each has a name of its own, as Python imports a name once.
        module = f"plugin_{os.getpid()}_{abs(hash(str(project)))}_{next(numbers)}"
        head = "import click\nfrom kernel import *\nfrom kernel import Kernel, Plugin, Route, hookimpl, nonblocking\n"
        (project / f"{module}.py").write_text(head + textwrap.dedent(source))
        class_name = source.split("class ", 1)[1].split("(", 1)[0]
        return f"{module}:{class_name}"

    return write


@pytest.fixture
def enable(project: Path) -> Callable[..., None]:
    """Return a function that writes a kernel.toml which enables these plugins, and no bundled one but `keep`."""

    def write(*plugins: str, keep: tuple[str, ...] = (), more: str = "") -> None:
        bundled = ["database", "keys", "logs", "migrations", "permissions", "records", "rest"]
        disabled = [name for name in bundled if name not in keep]
        (project / "kernel.toml").write_text(
            f"[plugins]\nenable = {list(plugins)!r}\ndisable = {disabled!r}\n{more}".replace("'", '"')
        )

    return write
