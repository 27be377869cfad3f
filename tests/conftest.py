"""Shared by all tests: real `kernel serve` processes, and tools that a machine may lack."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import urlencode

import hypothesis
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.servers import free_port, wait_until_ready

JWT_SECRET = "a-secret-that-only-the-tests-know-0123456789"
CLIENTS = Path(__file__).parent / "clients"

# In CI, generated examples are the same on every run: what they find by chance should not stop a change that has no
# part in it, and what they found should be found again. Elsewhere they differ from run to run.
hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=True)
if os.environ.get("KERNEL_CI") == "1":
    hypothesis.settings.load_profile("reproducible")


@dataclasses.dataclass(frozen=True)
class Server:
    """A running `kernel serve`; `url` has no trailing slash, the keys are JWTs for the two roles."""

    url: str
    port: int
    project: Path
    service_key: str
    anon_key: str
    process: subprocess.Popen[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """What a backend's own code sends along: the service key, both ways."""
        return {"apikey": self.service_key, "authorization": f"Bearer {self.service_key}"}

    @property
    def log(self) -> str:
        """What the process has written to stderr so far."""
        return (self.project / "stderr.log").read_text(errors="replace")

    def connect(self, timeout: float = 10.0, receive_buffer: int | None = None) -> socket.socket:
        """Open a plain connection; `timeout` in seconds holds for every single read and write.

        A `receive_buffer` of a few thousand bytes makes the sender notice soon that nobody reads.
        """
        connection = socket.socket()
        connection.settimeout(timeout)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def stop(self, grace: float = 15.0) -> int:
        """Send SIGTERM and return the exit code; killed, and an error, after `grace` seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM did not stop the server in {grace} s:\n{self.log}") from None


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Wire:
    """A keep-alive connection that bytes go through as they are, however wrong; opened again when closed."""

    def __init__(self, server: Server, timeout: float = 10.0) -> None:
        self._server = server
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def socket(self) -> socket.socket:
        """The open connection."""
        if self._socket is None:
            self._socket = self._server.connect(self._timeout)
        return self._socket

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, *pieces: bytes) -> None:
        """Send bytes; what the server no longer wants to read is lost, as it would be for any client."""
        for piece in pieces:
            try:
                self.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return

    def end(self) -> None:
        """Send nothing more, but still read."""
        with suppress(OSError):  # the server may have closed by now
            self.socket.shutdown(socket.SHUT_WR)

    def reply(self, method: str = "GET") -> Reply | None:
        """Read one answer to `method`; None where the server closed without any. Raises TimeoutError."""
        response = http.client.HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            while response.status == 100:
                response.begin()
            body = response.read()
        except (http.client.RemoteDisconnected, ConnectionResetError):
            self.close()
            return None
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return Reply(response.status, headers, body)

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply | None:
        """Send one request, the service key included unless `headers` says otherwise, and read its answer."""
        named = {"host": f"127.0.0.1:{self._server.port}", **self._server.headers, **(headers or {})}
        if body is not None:
            named.setdefault("content-length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b""))
        return self.reply(method)


class Serving(Protocol):
    """Start a server in `project` for the length of a with block; `settings` like ``rest__max_rows="10"``."""

    def __call__(self, project: Path, *arguments: str, **settings: str) -> AbstractContextManager[Server]: ...


class Serve(Protocol):
    """Start a server in `project` until the end of the test; `settings` like ``rest__max_rows="10"``."""

    def __call__(self, project: Path, *arguments: str, **settings: str) -> Server: ...


def missing(what: str) -> NoReturn:
    """Skip the test, naming `what` this machine lacks; in CI, where nothing may lack, fail it."""
    if os.environ.get("KERNEL_CI") == "1":
        pytest.fail(f"needs {what}, which CI must have")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def requires_tool() -> Callable[[str], str]:
    """Return a function that gives the path of a program, or skips (fails, in CI) where there is none."""

    def find(name: str) -> str:
        return shutil.which(name) or missing(f"the program {name!r}")

    return find


@pytest.fixture(scope="session")
def node_modules(requires_tool: Callable[[str], str]) -> Path:
    """The published JavaScript clients that tests/clients/package-lock.json pins; installed if need be."""
    requires_tool("node")
    npm = requires_tool("npm")
    installed = CLIENTS / "node_modules"
    stamp = installed / ".installed-for"
    # Test processes run in parallel; the first one installs. `npm ci` leaves the file that is locked alone.
    with (CLIENTS / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if not (stamp.exists() and stamp.read_text() == wanted):
            done = subprocess.run([npm, "ci"], cwd=CLIENTS, capture_output=True, text=True, timeout=110)
            if done.returncode != 0:
                missing(f"what tests/clients/package-lock.json names, but `npm ci` failed:\n{done.stderr}")
            stamp.write_text(wanted)
    return installed


@pytest.fixture(scope="session")
def wire() -> type[Wire]:
    """Give the class of connections that carry any bytes: ``with wire(server) as connection``."""
    return Wire


@pytest.fixture(scope="session")
def serving() -> Serving:
    """Return a context manager that runs `kernel serve` and asserts that it stops cleanly."""
    return _serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts `kernel serve`; each is stopped, and its end checked, after the test."""
    with ExitStack() as stack:

        def start(project: Path, *arguments: str, **settings: str) -> Server:
            return stack.enter_context(_serving(project, *arguments, **settings))

        yield start


@contextmanager
def _serving(project: Path, *arguments: str, **settings: str) -> Iterator[Server]:
    server = _start(project, arguments, settings)
    try:
        wait_until_ready(server.process, server.port)
        yield server
    except BaseException:
        server.process.kill()
        server.process.wait()
        sys.stderr.write(f"--- stderr of kernel serve\n{server.log[-20_000:]}")
        raise
    code = server.process.returncode if server.process.poll() is not None else server.stop()
    assert code == 0, f"kernel serve ended with {code}:\n{server.log}"
    assert "Traceback (most recent call last)" not in server.log, server.log
    assert "panicked" not in server.log, server.log


def _start(project: Path, arguments: tuple[str, ...], settings: dict[str, str]) -> Server:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "kernel",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNEL_")}
    environment["KERNEL_KEYS__JWT_SECRET"] = JWT_SECRET
    environment |= {f"KERNEL_{name.upper()}": value for name, value in settings.items()}
    project.mkdir(parents=True, exist_ok=True)
    with (project / "stdout.log").open("wb") as out, (project / "stderr.log").open("wb") as err:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=out, stderr=err)
    return Server(
        url=f"http://127.0.0.1:{port}",
        port=port,
        project=project,
        service_key=_sign("service_role"),
        anon_key=_sign("anon"),
        process=process,
    )


def _sign(role: str) -> str:
    claims = {"iss": "tests", "role": role, "exp": 4_102_444_800}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(JWT_SECRET))


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """The conninfo of a PostgreSQL server, or a skip (a failure in CI) that says what is missing."""
    import psycopg

    conninfo = os.environ.get("KERNEL_TEST_POSTGRESQL", "host=127.0.0.1 port=5432 user=postgres dbname=test")
    try:
        psycopg.connect(conninfo, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        message = f"needs a PostgreSQL server at {conninfo!r} (set KERNEL_TEST_POSTGRESQL): {error}"
        if os.environ.get("KERNEL_CI") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return conninfo


@pytest.fixture(scope="session")
def make_postgresql_database(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """A function that makes an empty database, which goes with the session, and returns its URL."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given = {key: str(value) for key, value in conninfo_to_dict(postgresql_server).items() if key != "dbname"}
    made: list[str] = []

    def make() -> str:
        made.append(f"kernel_{uuid.uuid4().hex}")
        with psycopg.connect(postgresql_server, autocommit=True) as server:
            server.execute(f"create database {made[-1]} template template0".encode())
        return f"postgresql:///{made[-1]}?{urlencode(given)}"

    yield make
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        for name in made:
            server.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def postgresql_database(make_postgresql_database: Callable[[], str]) -> str:
    """The URL of a database that tests use one after the other."""
    return make_postgresql_database()


@pytest.fixture
def postgresql_url(postgresql_database: str) -> Iterator[str]:
    """The URL of a database that is empty again after the test."""
    yield postgresql_database
    empty(postgresql_database)


def empty(url: str) -> None:
    """Take everything out of a database, whoever is connected."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        schemas = connection.execute(
            "select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
        ).fetchall()
        publications = connection.execute("select quote_ident(pubname) from pg_publication").fetchall()
        for (publication,) in publications:
            connection.execute(f"drop publication {publication}".encode())
        names = ", ".join(name for (name,) in schemas)
        connection.execute(f"drop schema {names} cascade".encode())
        # As a new database has it.
        connection.execute("create schema public; grant usage on schema public to public")
        connection.execute(f"alter database {connection.info.dbname} reset all".encode())
