"""A PostgreSQL server of the tests' own, to be stopped at will, and a proxy before it that can fall silent."""

from __future__ import annotations

import os
import pwd
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

from kernel.events import Event
from plugins.database.postgresql.connections import Limits
from plugins.database.postgresql.database import PostgresDatabase

LIMITS = Limits(connections=4, statement_timeout=10.0, lock_timeout=2.0)
STOP = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""How PostgreSQL is told to stop: ending its sessions in order, or as if the machine had failed."""


class OwnServer:
    """A server in a temporary folder, on a free port of this machine."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kernel-tests-server-"))
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL does not run as the superuser
            user = pwd.getpwnam("postgres")
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        made = self.run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--pgdata", self.data)
        assert made.returncode == 0, made.stderr

    @property
    def data(self) -> str:
        """Where its files are."""
        return str(self.folder / "data")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's user."""
        return subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=120, **self._user,
        )  # fmt: skip

    def start(self, *settings: str, before: tuple[str, ...] = ()) -> None:
        """Start it, unless it runs, and return once it lets us in; a setting is ``name=value``.

        `before` are the superuser's words that start a command, where it is not to start as any.
        """
        if self._process is not None:
            return
        user = self._user
        if before:
            (identity, group), user = (user["user"], user["group"]), {}
            before = (*before, "setpriv", f"--reuid={identity}", f"--regid={group}", "--clear-groups")
        given = [f"port={self.port}", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1"]
        given += ["fsync=off", "shared_buffers=16MB", "max_connections=40", *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *before, self._programs / "postgres", "-D", self.data,
                    *(part for one in given for part in ("-c", one)),
                ],
                cwd=self.folder, stdout=log, stderr=log, **user,
            )  # fmt: skip
        self.wait_for(self._answers)

    def seen(self, path: Path) -> Path:
        """Return where that is which the running server finds at `path`."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/root{path}")

    def stop(self, how: str = "immediate") -> None:
        """Stop it, ``fast`` or ``immediate``ly."""
        if self._process is not None:
            self._process.send_signal(STOP[how])
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            return True
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        return False

    def wait_for(self, holds: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something holds."""
        assert eventually(holds, seconds), (self.folder / "log").read_text()

    def url(self, database: str, port: int | None = None, user: str = "postgres") -> str:
        """Return the URL of a database on it, or on a `port` that leads to it."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def make(self, tablespace: str = "pg_default") -> str:
        """Make an empty database and return its name."""
        name = f"kernel_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template template0 tablespace {tablespace}".encode())
        return name


class Proxy:
    """Carries bytes to a port, until told to be silent: then it takes all and passes on nothing, as a firewall may."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waking, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._sockets: list[socket.socket] = []
        self._frozen: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stall(self) -> None:
        """Pass on nothing, whoever is connected or comes."""
        self._flowing.clear()

    def freeze(self) -> None:
        """Pass on nothing for those that are connected; who comes now is served."""
        self._frozen.update(self._sockets)

    def resume(self) -> None:
        """Pass on again what was held back by `stall`."""
        self._flowing.set()

    def close(self) -> None:
        """Close everything."""
        self._closed = True
        self._flowing.set()
        self._waking.send(b"x")
        self._thread.join(10)
        for one in (*self._sockets, self._listener, self._waking, self._woken):
            one.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                self._flowing.wait()
                if self._closed:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data is not None:
                    self._pass(key.fileobj, key.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        self._sockets += [client, server]
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        if source in self._frozen:
            self._selector.unregister(source)  # what it sends stays in the system's buffers
            return
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        with suppress(OSError):
            if data:
                target.sendall(data)
                return
            target.shutdown(socket.SHUT_WR)
        self._selector.unregister(source)


@pytest.fixture(scope="session")
def own_server(programs: Path) -> Iterator[OwnServer]:
    """A server that tests may stop, one after the other; stopped itself at the end."""
    server = OwnServer(programs)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def programs(requires_tool: Callable[[str], str]) -> Path:
    """Where PostgreSQL's server programs are."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return (debian[-1] if debian else Path(requires_tool("initdb"))).parent


@pytest.fixture
def server(own_server: OwnServer) -> Iterator[OwnServer]:
    """The server, running."""
    own_server.start()
    yield own_server
    own_server.stop()


class SmallDisk:
    """A database on a disk of its own, of 24 MB, which can be filled up; `seen` is where that is, seen from here."""

    def __init__(self, server: OwnServer, seen: Path) -> None:
        self.name = server.make("small")
        self.url = server.url(self.name)
        self._ballast = seen / "ballast"

    def run(self, statement: bytes) -> None:
        """Run SQL on it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def fill(self) -> None:
        """Fill it to the last byte."""
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@pytest.fixture
def small_disk(own_server: OwnServer, requires_tool: Callable[[str], str]) -> Iterator[SmallDisk]:
    """A database on a small disk of the server's, which goes with the server's process."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser gives another user's process a disk of its own")
    own_server.stop()
    user, disk = pwd.getpwnam("postgres"), own_server.folder / "small"
    disk.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size=24m,mode=700,uid={user.pw_uid},gid={user.pw_gid} tmpfs"
    script = f'{mount} "{disk}" && exec "$@"'
    own_server.start(before=(requires_tool("unshare"), "--mount", "sh", "-c", script, "sh"))
    with psycopg.connect(own_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create tablespace small location '{disk}'".encode())
        made = SmallDisk(own_server, own_server.seen(disk))
        yield made
        connection.execute(f"drop database {made.name} with (force)".encode())
        connection.execute("drop tablespace small")
    own_server.stop()


@pytest.fixture
def proxy(server: OwnServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    made = Proxy(server.port)
    yield made
    made.close()


@pytest.fixture
def open_at() -> Iterator[Callable[..., PostgresDatabase]]:
    """Open databases that the test's end closes."""
    opened: list[PostgresDatabase] = []

    def open_(
        url: str, limits: Limits = LIMITS, publish: Callable[[Event], None] = lambda _: None
    ) -> PostgresDatabase:
        opened.append(PostgresDatabase(url, limits, publish))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until something holds; False if it does not in time."""
    pause, deadline = threading.Event(), monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True
