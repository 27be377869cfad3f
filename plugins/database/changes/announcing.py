"""Telling followers of the change log that something has been committed.

A NOTIFY within writers' transactions would make their commits wait for one another: the server lets one transaction
with notifications commit at a time (measured: a quarter of the transactions per second of eight writers are left).
So a thread of this process tells, after commits, for many of them at once. Transactions of other programs tell
themselves, in the trigger, which knows ours by the session's setting ``kernel.announces``. What a process that dies
has not told is found by followers when they look without being told.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kernel.contracts.changes import CHANGES_TOPIC
from kernel.contracts.database import DatabaseError
from plugins.database.postgresql.session import Session
from plugins.database.retrying import Retrying

if TYPE_CHECKING:
    from plugins.database.postgresql.database import PostgresDatabase

NOTIFICATION = f"""'{{"topic":"{CHANGES_TOPIC}","payload":""}}'"""
_NOTIFY = f"NOTIFY kernel_signals, {NOTIFICATION}".encode()
_PAUSE, _AFTER_FAILURE, _LONGEST_WAIT = 0.005, 1.0, 5.0


class Announcer:
    """The thread and its connection, which begin with the first transaction that followers may care about."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        database.committed = self._committed

    def close(self) -> None:
        """Tell what is still to tell, and stop."""
        with self._lock:
            self._stopping.set()
            self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _committed(self) -> None:
        if self._news.is_set() or not self._database.may_be_followed:
            return
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="database-announcer", daemon=True)
                self._thread.start()
        self._news.set()

    def _run(self) -> None:
        session: Session | None = None
        retrying = Retrying("announcing changes", _AFTER_FAILURE, _LONGEST_WAIT)
        while self._news.is_set() or not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            try:
                session = session or self._database.connections.separate()
                session.command(_NOTIFY)
                retrying.succeeded()
                self._stopping.wait(_PAUSE)
            except DatabaseError as error:
                if session is not None:
                    session.close()
                    session = None
                if not self._stopping.wait(retrying.failed(error)):
                    self._news.set()
        if session is not None:
            session.close()
