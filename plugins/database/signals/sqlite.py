"""The Signals contract on a table: one thread looks for new rows while somebody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import apsw

from kernel.contracts.changes import CHANGES_TOPIC
from kernel.contracts.database import Compiled
from plugins.database.changes.sqlite import LAST
from plugins.database.retrying import Retrying
from plugins.database.signals.listeners import Listeners, check_payload
from plugins.database.sqlite.catalogue.catalogue import EMPTY
from plugins.database.sqlite.database import SqliteDatabase

_KEPT_SECONDS = 60.0
_LONGEST_WAIT = 5.0

_SEND = Compiled(
    'INSERT INTO "kernel.signals" ("topic", "payload", "sent") VALUES (:topic, :payload, unixepoch(\'subsec\'))'
)
_PRUNE = Compiled('DELETE FROM "kernel.signals" WHERE "sent" < unixepoch(\'subsec\') - :seconds')


class SqliteSignals:
    """Signals through the file, or within the process where the database lives in memory."""

    def __init__(self, database: SqliteDatabase, interval: float = 0.1) -> None:
        self._database = database
        self._interval = interval
        self._listeners = Listeners()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._seen = 0
        self._last = 0
        database.announce = lambda: self._listeners.deliver(CHANGES_TOPIC, "")

    def send(self, topic: str, payload: str = "") -> None:
        """Send `payload` to the listeners of `topic` in every process."""
        check_payload(payload)
        if self._database.in_memory:
            self._listeners.deliver(topic, payload)
            return
        with self._database.transaction() as transaction:
            transaction.execute(_SEND, {"topic": topic, "payload": payload})
            transaction.execute(_PRUNE, {"seconds": _KEPT_SECONDS})

    def listen(self, topic: str, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each payload of `topic`; return the undo."""
        undo = self._listeners.add(topic, listener)
        with self._lock:
            if self._thread is None and not self._database.in_memory:
                self._database.create_tables()
                connection = self._database.connections.separate()
                self._seen, self._last = _newest(connection), _last_change(connection)
                self._thread = threading.Thread(
                    target=self._watch, args=(connection,), name="database-signals", daemon=True
                )
                self._thread.start()

        return undo

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, connection: apsw.Connection) -> None:
        retrying = Retrying("reading signals", self._interval, _LONGEST_WAIT)
        version, wait = None, self._interval
        while not self._stopping.wait(wait):
            try:
                changed = connection.pragma("data_version")
                if changed != version:
                    self._fetch(connection)
                    version = changed
            except apsw.Error as error:
                # The next look finds what this one missed.
                wait = retrying.failed(self._database.connections.refusal(error, EMPTY, connection))
            else:
                wait = self._interval
                retrying.succeeded()

    def _fetch(self, connection: apsw.Connection) -> None:
        rows: list[Any] = connection.execute(
            'SELECT "id", "topic", "payload" FROM "kernel.signals" WHERE "id" > ? ORDER BY "id"',
            (self._seen,),
        ).fetchall()
        for number, topic, payload in rows:
            self._seen = number
            self._listeners.deliver(topic, payload)
        last = _last_change(connection)
        if last != self._last:
            self._last = last
            self._listeners.deliver(CHANGES_TOPIC, "")


def _newest(connection: apsw.Connection) -> int:
    newest: Any = connection.execute('SELECT coalesce(max("id"), 0) FROM "kernel.signals"').get
    return int(newest)


def _last_change(connection: apsw.Connection) -> int:
    last: Any = connection.execute(f"SELECT {LAST}").get
    return int(last)
