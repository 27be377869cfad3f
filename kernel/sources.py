"""Time, ids and randomness: what a plugin takes from the kernel, so that tests can freeze and replay them."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""


class Ids(Protocol):
    """New identifiers."""

    def uuid(self) -> uuid.UUID:
        """Return a new random UUID (version 4)."""

    def token(self) -> str:
        """Return 32 hexadecimal characters, unique, for request and error ids; not a secret."""


class Random(Protocol):
    """Randomness: unpredictable bytes for secrets, cheap floats for jitter."""

    def bytes(self, size: int) -> bytes:
        """Return `size` bytes fit for keys and tokens."""

    def uniform(self, low: float, high: float) -> float:
        """Return a float between `low` and `high`, for jitter and sampling; not for secrets."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()


class SystemIds:
    """Ids from the operating system's randomness."""

    def __init__(self) -> None:
        self._bits = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311 - ids are not secrets

    def uuid(self) -> uuid.UUID:
        """Return ``uuid.uuid4()``."""
        return uuid.uuid4()

    def token(self) -> str:
        """Return 128 pseudo-random bits: no system call on the request path, and nothing here is secret."""
        return self._bits(128).to_bytes(16).hex()


class SystemRandom:
    """The operating system's randomness for bytes, a seeded generator for jitter."""

    def __init__(self) -> None:
        self._generator = random.Random(secrets.randbits(256))  # noqa: S311 - jitter is not a secret

    def bytes(self, size: int) -> bytes:
        """Return ``secrets.token_bytes(size)``."""
        return secrets.token_bytes(size)

    def uniform(self, low: float, high: float) -> float:
        """Return a pseudo-random float."""
        return self._generator.uniform(low, high)
