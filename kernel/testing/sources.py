"""Time, ids and randomness that a test can foretell."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

START = "2026-01-01T00:00:00Z"


class FrozenClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime | str = START) -> None:
        self._now = _moment(now)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the frozen moment, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds this clock has been advanced by."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> datetime:
        """Go on by a duration, or by a number of seconds; return the new moment."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._now += step
        self._monotonic += step.total_seconds()
        return self._now

    def move_to(self, now: datetime | str) -> None:
        """Set the wall clock, back as well as forth, as an operator would; `monotonic` does not notice."""
        self._now = _moment(now)


class CountedIds:
    """Ids that count: the first token ends in 1, the second in 2; likewise the UUIDs."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def restart(self, start: int = 1) -> None:
        """Count from `start` again."""
        self._next = start

    def uuid(self) -> uuid.UUID:
        """Return the next number as a well-formed version 4 UUID."""
        return uuid.UUID(int=self._take(), version=4)

    def token(self) -> str:
        """Return the next number as 32 hexadecimal characters."""
        return f"{self._take():032x}"

    def _take(self) -> int:
        number = self._next
        self._next += 1
        return number


class SeededRandom:
    """The same bytes and floats on every run."""

    def __init__(self, seed: int | str = 0) -> None:
        self._generator = random.Random(seed)  # noqa: S311 - meant to be foretold

    def restart(self, seed: int | str = 0) -> None:
        """Begin again from `seed`."""
        self._generator.seed(seed)

    def bytes(self, size: int) -> bytes:
        """Return `size` bytes that anyone can foretell: for tests alone."""
        return self._generator.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        """Return a float between `low` and `high`."""
        return self._generator.uniform(low, high)


def _moment(given: datetime | str) -> datetime:
    moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    if moment.tzinfo is None:
        raise ValueError(f"{given} has no time zone; write it as {START}")
    return moment.astimezone(UTC)
