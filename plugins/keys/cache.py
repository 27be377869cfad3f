"""Tokens that were verified before, until they expire."""

from __future__ import annotations

import threading
from collections import OrderedDict

from kernel.identity import Identity


class VerifiedTokens:
    """The most recently used verified tokens, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Identity, float | None]] = OrderedDict()

    def get(self, token: str, now: float) -> Identity | None:
        """Return whom a remembered token speaks for; None where it is not remembered or has expired."""
        with self._lock:
            found = self._known.get(token)
            if found is None:
                return None
            identity, expires = found
            if expires is not None and now >= expires:
                del self._known[token]
                return None
            self._known.move_to_end(token)
            return identity

    def put(self, token: str, identity: Identity, expires: float | None) -> None:
        """Remember a token until `expires` (Unix time)."""
        with self._lock:
            self._known[token] = (identity, expires)
            if len(self._known) > self._size:
                self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all tokens."""
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
