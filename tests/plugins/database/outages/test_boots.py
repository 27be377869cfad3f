"""Starting where the server does not let us in: which thing is wrong and what to do, and never the password."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.long

SECRET = "open-sesame"


@pytest.fixture
def strict(server: Any) -> Iterator[Any]:
    """The server, which asks for passwords."""
    rules = Path(server.data, "pg_hba.conf")
    before = rules.read_text()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create role app login superuser password '{SECRET}'".encode())
    rules.write_text("host all app 127.0.0.1/32 scram-sha-256\n" + before)
    server.stop("fast")
    server.start()
    yield server
    rules.write_text(before)
    server.stop("fast")
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("drop role app")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("login", "where", "told", "remedy"),
    [
        (
            f"app:not-{SECRET}",
            "{port}/postgres",
            "password authentication failed",
            "mend the user or the password",
        ),
        ("app", "{port}/postgres", "no password supplied", "mend the user or the password"),
        (
            f"nobody:{SECRET}",
            "{port}/postgres",
            'role "nobody" does not exist',
            "mend the user or the password",
        ),
        (f"app:{SECRET}", "{port}/gone", 'database "gone" does not exist', "make it with createdb"),
        (f"app:{SECRET}", "{closed}/postgres", "Connection refused", "start the server"),
    ],
)
def test_a_server_that_does_not_let_us_in(
    strict: Any, tmp_path: Path, login: str, where: str, told: str, remedy: str
) -> None:
    url = f"postgresql://{login}@127.0.0.1:{where.format(port=strict.port, closed=closed_port())}"
    (tmp_path / "data").mkdir(mode=0o700)

    def kernel(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kernel", "--project", str(tmp_path), *arguments],
            env={**os.environ, "KERNEL_DATABASE__URL": url},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    for arguments in (["serve", "--port", "0"], ["migrate", "status"]):
        ran = kernel(*arguments)
        said = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
        assert (ran.returncode, len(said)) == (1, 1), ran.stderr
        assert told in said[0]
        assert remedy in said[0]
        assert SECRET not in ran.stdout + ran.stderr
    ran = kernel("doctor")
    (found,) = (one for one in json.loads(ran.stdout) if one["about"] == "database")
    assert (found["state"], told in found["text"]) == ("problem", True), found
    assert found["remedy"].startswith(remedy), found
    assert SECRET not in ran.stdout + ran.stderr
