"""Who listens to which signals in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

Listener = Callable[[str], None]

_LONGEST_PAYLOAD = 1000

_log = logging.getLogger("kernel.database")


class Listeners:
    """The listeners of each topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}

    def add(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Add a listener; return the undo, which may be called again."""
        with self._lock:
            self._listeners.setdefault(topic, []).append(listener)

        def undo() -> None:
            with self._lock:
                if listener in self._listeners.get(topic, ()):
                    self._listeners[topic].remove(listener)

        return undo

    def deliver(self, topic: str, payload: str) -> None:
        """Call the listeners of a topic; one that raises is logged and stops nobody."""
        with self._lock:
            listeners = tuple(self._listeners.get(topic, ()))
        for listener in listeners:
            try:
                listener(payload)
            except Exception:
                _log.exception("a listener for signals failed", extra={"topic": topic})


def check_payload(payload: str) -> None:
    """Raise ValueError for a payload that is too long to be carried everywhere."""
    if len(payload) > _LONGEST_PAYLOAD:
        raise ValueError(
            f"a signal's payload holds at most {_LONGEST_PAYLOAD} characters, not {len(payload)}"
        )
