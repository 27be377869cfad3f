"""Following the change log on either engine: reading on whenever something is announced."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from kernel.contracts.changes import CHANGES_TOPIC, ChangeBatch, ChangeLog
from kernel.contracts.database import CLOSED, DatabaseError, DatabaseUnavailable
from kernel.contracts.signals import Signals
from kernel.errors import describe
from plugins.database.retrying import Retrying

_log = logging.getLogger("kernel.database")

PUBLICATION = "supabase_realtime"

_LONGEST_WAIT = 5.0
"""Seconds after which a follower looks without being told: a signal may be missed while a connection is down."""
_AFTER_FAILURE = 1.0


class LogFollowing:
    """Batches of changes after a cursor, until it is closed."""

    def __init__(self, log: ChangeLog, signals: Signals, after: str, limit: int) -> None:
        self._log = log
        self._cursor = after
        self._limit = limit
        self._news = threading.Event()
        self._closed = False
        self._deaf = signals.listen(CHANGES_TOPIC, lambda _: self._news.set())

    def __iter__(self) -> Iterator[ChangeBatch]:
        """Wait for changes and yield them; a database that cannot be reached is asked again until it can."""
        retrying = Retrying("reading changes", _AFTER_FAILURE, _LONGEST_WAIT)
        while not self._closed:
            self._news.clear()
            try:
                batch = self._log.read(self._cursor, self._limit)
            except DatabaseUnavailable as error:
                if error.sqlstate == CLOSED:
                    raise
                self._news.wait(retrying.failed(error))
                continue
            retrying.succeeded()
            self._cursor = batch.cursor
            if batch.changes:
                yield batch
            if len(batch.changes) < self._limit and not self._closed:
                self._news.wait(_LONGEST_WAIT)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._deaf()
        self._news.set()


_LONGEST_INTERVAL = 600.0
_LOOKS = 8
"""How often a change is looked at before it is forgotten; so it may be kept an eighth longer."""


class Pruning:
    """A thread that prunes the log, until it is closed."""

    def __init__(self, log: ChangeLog, retention: float) -> None:
        self._log = log
        self._retention = retention
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-changes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(min(self._retention / _LOOKS, _LONGEST_INTERVAL)):
            try:
                self._log.prune(self._retention)
            except DatabaseError as error:
                _log.warning(
                    "the change log could not be pruned; trying again", extra={"reason": describe(error)}
                )
