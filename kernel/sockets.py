"""WebSockets as a handler sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from kernel.http import Request


class SocketClosed(Exception):
    """The other side has gone, or the kernel is stopping; nothing more can be sent or received."""


class WebSocket(Protocol):
    """One accepted connection.

    `request` is the upgrade request, with its identity. Iterating yields messages until the socket closes, which
    ends the iteration; leaving the handler closes the socket.
    """

    request: Request

    async def receive(self) -> str | bytes:
        """Wait for the next message; raises `SocketClosed`."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or binary message; raises `SocketClosed`."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the socket closes."""
