"""Signals: invalidations that reach every process of a deployment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Signals(Protocol):
    """Tells all processes, this one included, that something they remember has changed.

    A signal is a hint to look again, not news: it carries a short payload, may be delivered more than once, and
    is not kept for processes that start later.
    """

    def send(self, topic: str, payload: str = "") -> None:
        """Send `payload` (at most 1,000 characters) to the listeners of `topic` in every process."""

    def listen(self, topic: str, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each payload of `topic`, on a thread of the provider's; return the undo."""
