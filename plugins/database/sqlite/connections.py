"""Connections to one SQLite file: how they are opened, guarded and lent out."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import CLOSED, DatabaseError, DatabaseUnavailable, Params, RequestSettings, Row
from kernel.identity import Identity
from plugins.database import rights
from plugins.database.sqlite import counters, errors, files, functions
from plugins.database.sqlite.catalogue.catalogue import EMPTY

_LARGEST_VALUE = 256 * 1024 * 1024
_STATEMENTS_KEPT = 512
_STEPS_BETWEEN_CLOCKS = 10_000
_TICKS_IN_BUDGET = 8
_BETWEEN_TRIES = 0.01
_ROWS_AT_ONCE = 500


class Limits(msgspec.Struct, frozen=True):
    """How long statements may take: seconds for clocks, steps of SQLite's virtual machine for inline reads."""

    statement_timeout: float
    busy_timeout: float
    inline_steps: int


class Guarded:
    """A connection whose statements are interrupted when they take too long.

    It counts or looks at the clock every so many steps of SQLite's virtual machine. The counter of a cached
    statement runs on from one execution to the next, so a single callback at the budget's end would fire at
    random; several short ticks keep the error within one of them.
    """

    __slots__ = (
        "_clock", "_deadline", "_moment", "_ticks", "_transaction", "_writing", "connection", "identity", "limits",
        "settings",
    )  # fmt: skip

    def __init__(
        self,
        connection: apsw.Connection,
        limits: Limits,
        now: Callable[[], str],
        uuid: Callable[[], str],
        *,
        inline: bool,
        writing: bool,
    ) -> None:
        self.connection = connection
        self.limits = limits
        self._clock = now
        self._moment: str | None = None
        self._writing = writing
        self._transaction: int | None = None
        self.identity: Identity | None = None
        self.settings: RequestSettings | None = None
        functions.register(connection, self._now, now, uuid, self._caller)
        connection.create_scalar_function("pg_transaction", self._number, 1)
        connection.create_scalar_function("pg_leave", self._leave, 2)
        counters.register(connection)
        self._deadline = math.inf
        self._ticks = 0
        if inline:
            connection.set_progress_handler(self._tick, max(1, limits.inline_steps // _TICKS_IN_BUDGET))
        else:
            connection.set_progress_handler(self._late, _STEPS_BETWEEN_CLOCKS)

    def begin(self) -> None:
        """Begin a transaction: ``now()`` stays the same until the next."""
        self._moment = None
        self._transaction = None

    @property
    def logged(self) -> bool:
        """Whether the transaction has written to the change log."""
        return self._transaction is not None

    def start(self, seconds: float | None = None) -> None:
        """Begin a statement's time, or `seconds`, until `stop`; outside a transaction that is also a new ``now()``.

        Between the two nothing is on the clock: reading the catalogue or committing is no caller's statement.
        """
        if not self._writing:
            self._moment = None
        self._deadline = time.monotonic() + (self.limits.statement_timeout if seconds is None else seconds)
        self._ticks = 0

    def stop(self) -> None:
        """End what `start` began."""
        self._deadline = math.inf

    def _now(self) -> str:
        if self._moment is None:
            self._moment = self._clock()
        return self._moment

    def _caller(self, setting: str) -> str | None:
        if setting.startswith("request.") and setting != "request.jwt.claims":
            return None if self.settings is None else self.settings.given().get(setting)
        return rights.setting(setting, self.identity)

    def _leave(self, *given: Any) -> str | None:
        setting, value = given
        if self.settings is not None and setting in self.settings.wanted and value:
            self.settings.left[setting] = value
        return None if value is None else str(value)

    def _number(self, *last: Any) -> int:
        """Return the transaction's number in the change log, which is that of its first change."""
        if self._transaction is None:
            self._transaction = int(last[0]) + 1
        return self._transaction

    def _late(self) -> bool:
        if not self._writing:
            # Or the event loop may wait for its core until the system's next tick, which is every 4 ms on many.
            os.sched_yield()
        return time.monotonic() > self._deadline

    def _tick(self) -> bool:
        self._ticks += 1
        return self._ticks > _TICKS_IN_BUDGET


class Connections:
    """All connections of one process to one database.

    Readers and inline readers are lent from two pools that grow with use; the writer is one, behind a lock.
    A database in memory is a file in WAL mode in a private folder of the machine's memory (or its temporary
    folder): shared by one kernel's connections with the same locking as on disk, and gone when it closes.
    """

    def __init__(
        self, path: Path | None, limits: Limits, now: Callable[[], str], uuid: Callable[[], str]
    ) -> None:
        self.in_memory = path is None
        self.limits = limits
        self.write_lock = threading.Lock()
        self._now = now
        self._uuid = uuid
        self._path = path
        self._readers: deque[Guarded] = deque()
        self._inline: deque[Guarded] = deque()
        self._writer: Guarded | None = None
        self._all: list[apsw.Connection] = []
        self._opening = threading.Lock()
        self._closed = False
        self._image: bytes | None = None
        self._opened: files.Identity | None = None
        self._remove: weakref.finalize[[str, bool], Connections] | None = None

    @property
    def folder(self) -> Path | None:
        """Where the file is, once it is open."""
        return self._path.parent if self._path is not None else None

    @property
    def used(self) -> bool:
        """Whether a connection has been opened."""
        return bool(self._all)

    def load(self, image: bytes) -> None:
        """Start from the bytes of a database file."""
        if self.used or not self.in_memory:
            raise RuntimeError("an image can only be loaded into a database in memory, before its first use")
        self._image = image

    def check_file(self) -> None:
        """Raise `DatabaseUnavailable` unless the file that was opened is still where it was."""
        if self._path is not None and self._opened is not None:
            files.check(self._path, self._opened)

    def refusal(
        self, error: BaseException, catalogue: Catalogue, connection: apsw.Connection | None = None
    ) -> DatabaseError:
        """Return the `DatabaseError` for what apsw raised, with a note where something is wrong with the file.

        `connection` is as in `errors.translate`.
        """
        return files.explained(errors.translate(error, catalogue, connection), self._path)

    def reader(self) -> Guarded:
        """Lend a reading connection; give it back with `returned`."""
        try:
            return self._readers.pop()
        except IndexError:
            return self._open(inline=False, writing=False)

    def returned(self, guarded: Guarded) -> None:
        """Take a reading connection back."""
        if self._closed:
            guarded.connection.close()
        else:
            self._readers.append(guarded)

    def inline_reader(self) -> Guarded:
        """Lend a connection that never waits; give it back with `inline_returned`."""
        try:
            return self._inline.pop()
        except IndexError:
            return self._open(inline=True, writing=False)

    def inline_returned(self, guarded: Guarded) -> None:
        """Take an inline connection back."""
        if self._closed:
            guarded.connection.close()
        else:
            self._inline.append(guarded)

    def writer(self) -> Guarded:
        """Return the writing connection; the caller holds `write_lock`."""
        if self._writer is None:
            self._writer = self._open(inline=False, writing=True)
        return self._writer

    def separate(self) -> apsw.Connection:
        """Open a reading connection that its user keeps to itself and closes."""
        return self._open(inline=False, writing=False).connection

    def close(self) -> None:
        """Close every connection; the last one to close a file folds its log into it."""
        with self._opening:
            self._closed = True
            connections, self._all = self._all, []
            self._readers.clear()
            self._inline.clear()
            self._writer = None
        for connection in connections:
            connection.close()
        if self._remove is not None:
            self._remove()

    def _open(self, *, inline: bool, writing: bool) -> Guarded:
        with self._opening:
            if self._closed:
                raise DatabaseUnavailable("the database is closed", sqlstate=CLOSED)
            self.check_file()
            connection = self._connect()
            try:
                self._prepare(connection, inline=inline, writing=writing)
                if self._opened is None:
                    self._opened = files.identity(self._file())
            except apsw.Error as error:
                refusal = self.refusal(error, EMPTY, connection)
                connection.close()
                raise refusal from error
            except BaseException:
                connection.close()
                raise
            self._all.append(connection)
        return Guarded(connection, self.limits, self._now, self._uuid, inline=inline, writing=writing)

    def _connect(self) -> apsw.Connection:
        try:
            return apsw.Connection(str(self._file()), statementcachesize=_STATEMENTS_KEPT)
        except apsw.Error as error:
            raise self.refusal(error, EMPTY) from error

    def _file(self) -> Path:
        if self._path is None:
            memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
            folder = tempfile.mkdtemp(prefix="backend-kernel-", dir=memory if memory.is_dir() else None)
            self._remove = weakref.finalize(self, shutil.rmtree, folder, True)
            self._path = Path(folder) / "kernel.db"
            if self._image is not None:
                self._path.write_bytes(self._image)
                self._image = None
        return self._path

    def _prepare(self, connection: apsw.Connection, *, inline: bool, writing: bool) -> None:
        connection.set_busy_timeout(0 if inline else round(self.limits.busy_timeout * 1000))
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
        if not self._all and not connection.readonly("main"):
            _write_ahead(connection, self.limits.busy_timeout)
        connection.pragma("synchronous", "off" if self.in_memory else "normal")
        connection.pragma("foreign_keys", True)
        connection.pragma("case_sensitive_like", True)
        connection.pragma("recursive_triggers", True)
        if not writing:
            connection.pragma("query_only", True)


def _write_ahead(connection: apsw.Connection, seconds: float) -> None:
    """Put a file in WAL mode; raises `apsw.BusyError` where it is in use for so many seconds.

    Two that do so to a new file at once have each read it and want to write: SQLite does not have the second wait
    for that, as one of them must let go.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_BETWEEN_TRIES)


def run(
    guarded: Guarded,
    sql: str,
    params: Params,
    identity: Identity | None = None,
    settings: RequestSettings | None = None,
) -> list[Row]:
    """Run one statement for `identity` to its end and return its rows; the cursor is closed whatever happens.

    Raises `DatabaseError` (22021) for a NUL character in a parameter, which PostgreSQL's text cannot hold.
    """
    cursor = _cursor(guarded, params, identity, settings)
    try:
        return cursor.execute(sql, params or None).fetchall()
    finally:
        guarded.stop()
        cursor.close(True)


def stream(
    guarded: Guarded,
    sql: str,
    params: Params,
    identity: Identity | None = None,
    settings: RequestSettings | None = None,
) -> Iterator[list[Row]]:
    """Run one statement for `identity` and yield its rows, some at a time; raises as `run` does."""
    cursor = _cursor(guarded, params, identity, settings)
    try:
        found = cursor.execute(sql, params or None)
        while rows := list(islice(found, _ROWS_AT_ONCE)):
            yield rows
    finally:
        guarded.stop()
        cursor.close(True)


def _cursor(
    guarded: Guarded, params: Params, identity: Identity | None, settings: RequestSettings | None
) -> apsw.Cursor:
    for value in params.values():
        if type(value) is str and "\x00" in value:
            raise DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    guarded.start()
    guarded.identity = identity
    guarded.settings = settings
    return guarded.connection.cursor()
