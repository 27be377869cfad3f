"""WebSockets within this process: the client's end, and the end that a handler holds."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from kernel.http import HTTPError, Request, Response
from kernel.sockets import SocketClosed
from kernel.testing.loop import LoopThread

if TYPE_CHECKING:
    from kernel.kernel import Kernel

Message = str | bytes


class SocketRefused(Exception):
    """The upgrade was answered with an HTTP response instead, kept in `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"the socket was refused with {response.status}: {response.body!r}")
        self.response = response


class SocketClient:
    """The client's end of a WebSocket whose handler runs on the test client's loop.

    A handler's exception is raised by the next `receive`, and by `close` at the latest.
    """

    def __init__(self, kernel: Kernel, loop: LoopThread, request: Request) -> None:
        try:
            route, values = kernel.router.match_socket(request.path)
        except HTTPError as error:
            raise SocketRefused(kernel.dispatcher.refuse(request, None, error)) from None
        refusal = kernel.dispatcher.admit_socket(request)
        if refusal is not None:
            raise SocketRefused(refusal)
        self._loop = loop
        self._server = ServerSocket(request)
        self._done: Future[None] = loop.begin(self._serve(route.handler, values))

    def __enter__(self) -> SocketClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, message: Message) -> None:
        """Send text or bytes to the handler; raises `SocketClosed` once it has ended."""
        if self._done.done():
            raise SocketClosed("the handler has ended")
        self._loop.call(self._server.incoming.put_nowait, message)

    def send_json(self, value: Any) -> None:
        """Send a value as JSON text."""
        self.send(msgspec.json.encode(value).decode())

    def receive(self, timeout: float = 5.0) -> Message:
        """Return the handler's next message; raises `SocketClosed` at its end, TimeoutError after a while."""
        try:
            message = self._server.outgoing.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no message within {timeout} s") from None
        if message is None:
            self._server.outgoing.put(None)
            self._done.result()
            raise SocketClosed("the handler has ended")
        return message

    def receive_json(self, timeout: float = 5.0) -> Any:
        """Return the handler's next message, decoded from JSON."""
        return msgspec.json.decode(self.receive(timeout))

    def close(self, timeout: float = 5.0) -> None:
        """Go away and wait for the handler to end; raises what it raised."""
        if not self._done.done():
            self._loop.call(self._server.incoming.put_nowait, None)
        self._done.result(timeout)

    async def _serve(self, handler: Any, values: Any) -> None:
        try:
            await handler(self._server, **values)
        except SocketClosed:
            pass
        finally:
            self._server.close()


class ServerSocket:
    """The handler's end: a `kernel.WebSocket`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.incoming: asyncio.Queue[Message | None] = asyncio.Queue()
        self.outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._closed = False

    async def receive(self) -> Message:
        """Wait for the client's next message; raises `SocketClosed` once it has gone."""
        message = None if self._closed else await self.incoming.get()
        if message is None:
            self._closed = True
            raise SocketClosed("the client has gone")
        return message

    async def send(self, message: Message) -> None:
        """Send to the client; raises `SocketClosed` once it has gone."""
        if self._closed:
            raise SocketClosed("the client has gone")
        self.outgoing.put(message)

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield messages until the client goes."""
        while True:
            try:
                yield await self.receive()
            except SocketClosed:
                return

    def close(self) -> None:
        """Tell the client that the handler has ended."""
        self._closed = True
        self.outgoing.put(None)
