"""The whole gazetteer, copied by ``kernel db copy`` from engine to engine and back, and interrupted on the way."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel import Kernel
from kernel.config import Config
from kernel.contracts import Database

pytestmark = pytest.mark.long

Rows = list[dict[str, Any]]


@pytest.fixture
def filled(project: Path, source: dict[str, Rows]) -> Path:
    """The project with its SQLite file, and all rows in it."""
    kernel = Kernel(Config({"kernel": {"data": "data"}}, project=project), role="command")
    kernel.register()
    kernel.prepare()
    with kernel.services[Database].transaction() as transaction:
        for table, rows in source.items():
            names = list(rows[0])
            listed, marks = ", ".join(names), ", ".join(f":{name}" for name in names)
            for row in rows:
                transaction.execute(f"insert into {table} ({listed}) values ({marks})", row)
    kernel.stop()
    return project


def command(project: Path, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNEL_")}
    line = [sys.executable, "-m", "kernel", "db", "copy", *arguments]
    return subprocess.Popen(line, cwd=project, env=environment, text=True, **streams)


def copy(project: Path, *arguments: str) -> list[dict[str, Any]]:
    with command(project, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Copying" not in err  # no bar where nobody looks
    told: list[dict[str, Any]] = json.loads(out)
    return told


def test_there_and_back_all_rows_and_checksums_are_the_same(
    filled: Path, source: dict[str, Rows], make_postgresql_database: Callable[[], str]
) -> None:
    server, back = make_postgresql_database(), f"sqlite:///{filled}/back.db"

    there = copy(filled, "--to", server)

    counts = {row["table"].removeprefix("public."): row["rows"] for row in there}
    assert counts == {table: len(rows) for table, rows in source.items()} | {"notes": 0}
    assert copy(filled, "--from", server, "--to", back) == there
    assert copy(filled, "--from", back, "--to", server, "--yes") == there


@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
def test_an_interrupted_copy_says_so_leaves_nothing_and_is_begun_again(
    filled: Path, to: str, make_postgresql_database: Callable[[], str]
) -> None:
    target = make_postgresql_database() if to == "postgresql" else f"sqlite:///{filled}/copy.db"
    controller, end = pty.openpty()
    with command(filled, "--to", target, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        seen = b""
        while b"/" not in seen:  # the bar counts: 1000/42000
            seen += os.read(controller, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while piece := os.read(controller, 65536):
                seen += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait(60) not in (0, None)
    os.close(controller)
    assert b"Traceback" not in seen

    assert sum(row["rows"] for row in copy(filled, "--to", target)) > 20_000
