"""Real servers of a project with one plugin, `wire`, and raw clients to try them with."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "project"
PATIENCE = 10.0


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@dataclass
class Process:
    """A running server; `port` is where it listens, `notes` what its handlers wrote down."""

    popen: subprocess.Popen[bytes]
    project: Path
    port: int
    kind: str = ""

    @property
    def notes(self) -> list[str]:
        path = self.project / "notes.txt"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.project / "log.txt").read_text(errors="replace")

    def wait_for(self, note: str, times: int = 1) -> None:
        """Wait until a note has been taken so often."""
        what = f"the note {note!r}; notes: {self.notes}; log:\n{self.log}"
        wait_until(lambda: self.notes.count(note) >= times, what)

    def get(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
        with closing(self.http()) as connection:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names, encode_chunked="transfer-encoding" in names)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def json(self, path: str) -> Any:
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def http(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def peak_kilobytes(self, pid: int | None = None) -> int:
        """The largest resident set this process has had, or a worker of it, in kB."""
        return self._kilobytes("VmHWM", pid)

    def held_kilobytes(self) -> int:
        """The resident set just now, in kB."""
        return self._kilobytes("VmRSS", None)

    def _kilobytes(self, name: str, pid: int | None) -> int:
        status = Path(f"/proc/{pid or self.popen.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0])

    def stop(self, signal: int = 15, seconds: float = PATIENCE) -> int:
        self.popen.send_signal(signal)
        return self.popen.wait(seconds)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copied(tmp_path / "project")


@pytest.fixture
def run(project: Path) -> Iterator[Runner]:
    with Runner(project) as runner:
        yield runner


@pytest.fixture(scope="session")
def start_in() -> Callable[[Path], Runner]:
    """Return a function that makes a project in a folder, for processes to be started in it."""
    return lambda folder: Runner(copied(folder))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One server for a module's tests; its own end is checked too."""
    with Runner(copied(tmp_path_factory.mktemp("serving") / "project")) as run:
        process = run()
        yield process
        assert process.stop() == 0, process.log
        assert "stopped" in process.notes


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__")))


class Runner:
    """Starts commands in a project, `{port}` in them replaced, and ends what is left of them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.started: list[Process] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.started:
            if process.popen.poll() is None:
                process.popen.kill()
            process.popen.wait()

    def __call__(self, *command: str, ready: bool = True, **settings: str) -> Process:
        port = free_port()
        command = command or (sys.executable, "-m", "kernel", "serve", "--port", "{port}")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("KERNEL_")}
        environ |= {f"KERNEL_{name.upper()}": value for name, value in settings.items()}
        with (self.project / "log.txt").open("ab") as log:
            popen = subprocess.Popen(
                [part.format(port=port) for part in command],
                cwd=self.project,
                env=environ,
                stdout=log,
                stderr=log,
            )
        process = Process(popen, self.project, port)
        self.started.append(process)
        if ready:
            wait_until(lambda: answers(process), f"ready; log:\n{process.log}", 30.0)
        return process


def answers(process: Process) -> bool:
    assert process.popen.poll() is None, process.log
    try:
        return process.get("/healthz")[0] == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
