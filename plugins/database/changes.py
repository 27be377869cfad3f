"""Following the change log on either engine: reading on whenever something is announced."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from kernel.contracts.changes import CHANGES_TOPIC, ChangeBatch, ChangeLog
from kernel.contracts.signals import Signals

PUBLICATION = "supabase_realtime"

_LONGEST_WAIT = 5.0
"""Seconds after which a follower looks without being told: a signal may be missed while a connection is down."""


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
        """Wait for changes and yield them."""
        while not self._closed:
            self._news.clear()
            batch = self._log.read(self._cursor, self._limit)
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
