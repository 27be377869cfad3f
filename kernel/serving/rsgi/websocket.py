"""One WebSocket over RSGI, as handlers see it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from granian._granian import RSGIProtocolClosed, RSGIProtocolError

from kernel.http import Request
from kernel.sockets import SocketClosed

# So long a client may take to answer a close frame.
CLOSE_SECONDS = 0.5

_CLOSE = 0
_GONE = (RSGIProtocolClosed, RSGIProtocolError)

_log = logging.getLogger("kernel.serving")


class Socket:
    """An accepted connection; see `kernel.sockets.WebSocket`."""

    def __init__(self, request: Request, protocol: Any, transport: Any) -> None:
        self.request = request
        self._protocol = protocol
        self._transport = transport
        self._closed = False

    @classmethod
    async def accept(cls, request: Request, protocol: Any) -> Socket | None:
        """Complete the handshake; None where the client has gone meanwhile."""
        try:
            return cls(request, protocol, await protocol.accept())
        except _GONE:
            return None

    async def run(
        self, handler: Callable[..., Any], values: Mapping[str, Any], token: Callable[[], str]
    ) -> None:
        """Run the handler and close the socket after it; its exceptions are logged."""
        try:
            await handler(self, **values)
        except SocketClosed:
            pass
        except Exception:
            _log.exception("socket failed", extra={"request": self.request.id, "error_id": token()})
        finally:
            self.tell()
            await self._closing()

    def tell(self) -> None:
        """Close the connection; `receive` and `send` raise `SocketClosed` from now on."""
        self._closed = True
        self._protocol.close()

    async def receive(self) -> str | bytes:
        """Wait for the next message; raises `SocketClosed`."""
        self._check()
        try:
            message = await self._transport.receive()
        except _GONE:
            self._closed = True
            raise SocketClosed from None
        if message.kind == _CLOSE:
            self._closed = True
        self._check()
        data: str | bytes = message.data
        return data

    async def send(self, message: str | bytes) -> None:
        """Send a text or binary message; raises `SocketClosed`."""
        self._check()
        try:
            if isinstance(message, str):
                await self._transport.send_str(message)
            else:
                await self._transport.send_bytes(message)
        except _GONE:
            self._closed = True
            raise SocketClosed from None

    async def _closing(self) -> None:
        """Wait until the client has answered the close frame, and so has surely got it."""
        with suppress(TimeoutError, *_GONE):
            async with asyncio.timeout(CLOSE_SECONDS):
                while (await self._transport.receive()).kind != _CLOSE:
                    pass

    def _check(self) -> None:
        if self._closed:
            raise SocketClosed

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except SocketClosed:
                return
            yield message
