"""The Signals contract by LISTEN and NOTIFY: one thread and one connection while somebody listens."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from kernel.contracts.database import Compiled, DatabaseError
from plugins.database.postgresql.errors import READ_ONLY
from plugins.database.postgresql.session import Session
from plugins.database.retrying import Retrying
from plugins.database.signals.listeners import Listeners, check_payload

if TYPE_CHECKING:
    from plugins.database.postgresql.database import PostgresDatabase

_CHANNEL = "kernel_signals"
_LISTEN = b"LISTEN kernel_signals; LISTEN pgrst"
_NOTIFY = Compiled("select pg_notify('kernel_signals', :signal)")
_SCHEMA_TOPIC = "database.schema"
SCHEMA_CHANGED = b"""NOTIFY kernel_signals, '{"topic":"database.schema","payload":""}'"""
_RELOAD = ("reload schema", "")
"""What those who change the schema by other means tell PostgREST on the channel ``pgrst``."""

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_SILENCE = 30.0
"""Seconds without a word after which the server is asked whether it is still there."""


class Signal(msgspec.Struct, frozen=True):
    """What a notification carries."""

    topic: str
    payload: str


class PostgresSignals:
    """Signals through the server, and the news that the schema has changed."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._listeners = Listeners()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._waking: tuple[int, int] | None = None
        database.watch = self._watch

    def send(self, topic: str, payload: str = "") -> None:
        """Send `payload` to the listeners of `topic` in every process."""
        check_payload(payload)
        signal = msgspec.json.encode(Signal(topic, payload)).decode()
        with self._database.transaction() as transaction:
            transaction.query(_NOTIFY, {"signal": signal})

    def listen(self, topic: str, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each payload of `topic`; return the undo."""
        undo = self._listeners.add(topic, listener)
        self._watch()
        return undo

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._stopping = True
            thread, waking = self._thread, self._waking
        if thread is not None and waking is not None:
            os.write(waking[1], b"x")
            thread.join()
            os.close(waking[0])
            os.close(waking[1])

    def _watch(self) -> None:
        """See to it that what is announced from now on is heard."""
        with self._lock:
            if self._thread is not None or self._stopping:
                return
            session = self._first()
            self._waking = os.pipe()
            self._thread = threading.Thread(
                target=self._hear, args=(session, self._waking[0]), name="database-signals", daemon=True
            )
            self._thread.start()

    def _first(self) -> Session | None:
        """Connect; None where the server stands by, which lets nobody listen: it may be promoted."""
        try:
            return self._connect()
        except DatabaseError as error:
            if error.sqlstate != READ_ONLY:
                raise
            return None

    def _connect(self) -> Session:
        session = self._database.connections.separate()
        try:
            session.command(_LISTEN)
        except BaseException:
            session.close()
            raise
        return session

    def _hear(self, session: Session | None, waking: int) -> None:
        retrying = Retrying("reading signals", _FIRST_WAIT, _LONGEST_WAIT)
        while not self._stopping:
            try:
                if session is None:
                    session = self._connect()
                    # What was announced meanwhile has been missed.
                    self._database.forget_catalogue()
                    retrying.succeeded()
                self._deliver_from(session, waking)
            except DatabaseError as error:
                if session is not None:
                    session.close()
                    session = None
                if error.sqlstate == READ_ONLY:
                    # Where nothing is announced, what the primary does to the schema is looked for.
                    self._database.forget_catalogue()
                select.select([waking], [], [], retrying.failed(error))
        if session is not None:
            session.close()

    def _deliver_from(self, session: Session, waking: int) -> None:
        ready, _, _ = select.select([session.socket, waking], [], [], _SILENCE)
        if waking in ready:
            return
        if not ready:
            session.command(b"")
        for channel, text in session.notifications():
            if channel == _CHANNEL:
                signal = msgspec.json.decode(text, type=Signal)
                if signal.topic == _SCHEMA_TOPIC:
                    self._database.forget_catalogue()
                self._listeners.deliver(signal.topic, signal.payload)
            elif text in _RELOAD:
                self._database.forget_catalogue()
