"""Greetings: what happens when one is sent, and who has been greeted how often."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from kernel import Event


class GreetingSent(Event, frozen=True):
    """Someone has been greeted."""

    name = "greeting.greeting.sent"

    person: str
    message: str


class Tally:
    """How often each person has been greeted; handlers run on several threads, so it locks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    def count(self, event: GreetingSent) -> None:
        """Take note of a greeting."""
        with self._lock:
            self._counts[event.person] += 1

    def by_person(self) -> dict[str, int]:
        """Return the counts so far, the most greeted first."""
        with self._lock:
            return dict(self._counts.most_common())
