"""Real servers: a `kernel serve` process for each set of settings, and requests to it over one connection."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit

from tests.conformance.cases import Case
from tests.conformance.comparison import Answer
from tests.conformance.configuration import SECRET
from tests.servers import NotReady, free_port, wait_until_ready

_ROOT = "/rest/v1"
_SECONDS_TO_ANSWER = 30.0


class ServerFailed(Exception):
    """A server that did not start or stopped answering; the message holds what it wrote."""


class Server:
    """A running server; an answer that does not come is an error."""

    def __init__(self, port: int, log: Path) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS_TO_ANSWER)
        self._log = log

    def send(self, case: Case) -> Answer:
        """Send a case's request and read the whole answer."""
        try:
            return self._send(case)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()  # a server may close a connection between two requests
        try:
            return self._send(case)
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(f"{case.where}: no answer ({error!r})\n{_end_of(self._log)}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, case: Case) -> Answer:
        connection = self._connection
        connection.putrequest(case.method, _ROOT + case.target, skip_accept_encoding=True)
        for name, value in case.lines(SECRET):
            connection.putheader(name, value.encode())
        content = case.content
        if content or not case.reads_only:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content or None)
        response = connection.getresponse()
        headers: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            headers.setdefault(name.lower(), []).append(value.encode("latin-1").decode(errors="replace"))
        return Answer(response.status, headers, response.read())


@contextmanager
def serving(
    project: Path, url: str, settings: Mapping[str, Mapping[str, Any]], port: int | None = None
) -> Iterator[Server]:
    """Run `kernel serve` in `project`, a folder that is made, on the database at `url`; a `port` is free or given."""
    project.mkdir(parents=True)
    tables = {"database": {"url": url}, "logs": {"level": "warning", "requests": False}, **settings}
    (project / "kernel.toml").write_text(tomlkit.dumps(tables), encoding="utf-8")
    log, port = project / "server.log", port or free_port()
    command = [sys.executable, "-m", "kernel", "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNEL_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output)
    try:
        try:
            wait_until_ready(process, port)
        except NotReady as error:
            raise ServerFailed(f"kernel serve: {error}\n{_end_of(log)}") from error
        server = Server(port, log)
        yield server
        server.close()
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
