"""The RSGI application: Granian's requests and WebSockets, taken to a started kernel and answered."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel.dispatch import Run
from kernel.http import FileBody, HTTPError, NotInline, Problem, Request, Response, TooLong, Upload
from kernel.routing import Match, Route
from kernel.serving.rsgi.answers import Answers, begin_inline, is_large
from kernel.serving.rsgi.bodies import BodyReader, lingers
from kernel.serving.rsgi.websocket import Socket
from kernel.serving.uploads import SpooledUpload, StreamedUpload

if TYPE_CHECKING:
    from kernel.kernel import Kernel

# A socket's handler that waits for something other than its client learns of a stop by being cancelled, this long
# after receive and send began to raise SocketClosed.
SOCKET_GRACE_SECONDS = 1.0

# So much less than the event loop's is the claim of long work to a core. On a machine that is busy otherwise, that
# prolongs the work; higher figures do so by far, for little.
LONG_NICENESS = 10
# A request with two lines of one of these says different things to readers who take different ones. (Granian refuses
# two lengths itself.)
SINGLE_HEADERS = ("authorization", "apikey", "host")

_STOPPING = [("connection", "close"), ("retry-after", "1"), ("content-type", "text/plain; charset=utf-8")]


_log = logging.getLogger("kernel.serving")


class Gateway:
    """Serves one kernel on one event loop; Granian calls it once per request or WebSocket.

    Plain handlers run in `threads` threads, ``async def`` handlers and inline ones on the loop. An inline handler
    whose work is too long for the loop runs in one of as many threads of lower priority: such work keeps neither
    the loop from its core nor a plain handler from its thread.
    """

    def __init__(self, kernel: Kernel, *, threads: int) -> None:
        self._kernel = kernel
        self._dispatcher = kernel.dispatcher
        self._inline = kernel.dispatcher.inline
        self._pool = ThreadPoolExecutor(threads, "kernel-handler")
        self._long_pool = ThreadPoolExecutor(threads, "kernel-long", _step_back)
        self._loop = asyncio.get_running_loop()
        self._run = partial(self._loop.run_in_executor, self._pool)
        self._run_long = partial(self._loop.run_in_executor, self._long_pool)
        folder = kernel.data / "tmp"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._bodies = BodyReader(self._run, str(folder), kernel.settings.body_timeout_seconds)
        self._answers = Answers(self._run, str(folder))
        self._sockets: dict[Socket, asyncio.Task[Any]] = {}
        self._active = 0
        self._turning_away = False
        self._idle: asyncio.Event | None = None

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request, or hold one WebSocket until it closes."""
        if self._turning_away:
            _turn_away(scope, protocol)
            return
        self._active += 1
        try:
            if scope.proto == "http":
                await self._http(scope, protocol)
            else:
                await self._websocket(scope, protocol)
        except Exception:
            error_id = self._kernel.ids.token()
            _log.exception("the answer could not be sent", extra={"path": scope.path, "error_id": error_id})
            _give_up(scope, protocol, error_id)
        finally:
            self._active -= 1
            if self._idle is not None and not self._active:
                self._idle.set()

    def turn_away(self) -> None:
        """Answer whatever comes from now on with 503."""
        self._turning_away = True

    def end_streams(self, seconds: float) -> None:
        """End live streams and tell sockets; a socket's handler that does not heed it in `seconds` is cancelled."""
        self._answers.close()
        for socket in self._sockets:
            socket.tell()
        self._loop.call_later(min(SOCKET_GRACE_SECONDS, seconds), self._cancel_sockets)

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is in flight; return whether that was within `seconds`."""
        if self._active:
            self._idle = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        return not self._active

    def close(self) -> None:
        """Let the threads go; nothing more may come in."""
        for pool in (self._pool, self._long_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _cancel_sockets(self) -> None:
        for task in self._sockets.values():
            task.cancel()

    async def _http(self, scope: Any, protocol: Any) -> None:
        request = _request(scope)
        response = await self._answer(request, scope, protocol)
        if response.status >= 400 and response.status != 408 and lingers(request, scope):
            await self._bodies.discard(protocol)
        body = response.body
        if is_large(body):
            body = await self._run(self._answers.begin, (body,))
        if isinstance(body, bytes):
            if body:
                protocol.response_bytes(response.status, response.headers, body)
            else:
                protocol.response_empty(response.status, response.headers)
        elif isinstance(body, FileBody):
            self._answers.file(protocol, response, body)
        else:
            await self._answers.stream(scope, protocol, request, response)
        if isinstance(request.body, SpooledUpload):
            request.body.file.close()

    async def _answer(self, request: Request, scope: Any, protocol: Any) -> Response:
        found = self._route(request) if self._inline else await self._run(self._first, request)
        if isinstance(found, Response):
            return found
        route: Route = found.route
        if route.body is not None:
            try:
                await self._read(request, route, scope, protocol)
            except Exception as error:
                return _unread(request, await self._refuse(request, route, error))
        return await self._handle(request, found)

    def _route(self, request: Request) -> Match | Response:
        found = self._dispatcher.route(request)
        if isinstance(found, Match) and (name := _repeated(request.headers)):
            error = HTTPError(400, f"the request has more than one {name} line")
            found = self._dispatcher.refuse(request, found.route, error)
        return _unread(request, found) if isinstance(found, Response) else found

    def _first(self, request: Request) -> Match | Response:
        """Route on a thread, where hooks may block, and go on to the handler if no body has to be read."""
        found = self._route(request)
        if isinstance(found, Response) or found.route.body is not None or found.route.is_async:
            return found
        return self._work(request, found)

    def _work(self, request: Request, match: Match) -> Response:
        """Answer on a thread, which keeps no large body in memory while others wait for a thread."""
        response = self._dispatcher.handle(request, match, self._answers.begin)
        if is_large(response.body):
            response.body = self._answers.begin((response.body,))
        return response

    async def _handle(self, request: Request, match: Match) -> Response:
        route = match.route
        run: Run = self._run
        if route.is_async:
            return await self._dispatcher.handle_async(request, match, self._answers.begin, run)
        if route.inline and self._inline:
            request.inline = True
            try:
                return self._dispatcher.handle(request, match, begin_inline)
            except NotInline as error:
                request.inline = False
                if isinstance(error, TooLong):
                    run = self._run_long
        response: Response = await run(self._work, request, match)
        return response

    async def _read(self, request: Request, route: Route, scope: Any, protocol: Any) -> None:
        expected = request.content_length
        limit = self._dispatcher.body_limit(route)
        too_large: Callable[[], HTTPError] = partial(self._dispatcher.too_large, route)
        if expected is None:
            if scope.http_version == "2":
                # Granian ends a body alike where the client ends the stream and where it resets it.
                limit, too_large = 0, _no_length
                if route.body is Upload:
                    raise _no_length()
            elif not request.headers.get("transfer-encoding"):
                expected = 0
        pieces = self._bodies.pieces(protocol, expected, limit, too_large)
        if route.body is not Upload:
            request.body = await self._bodies.whole(pieces)
        elif route.is_async:
            request.body = StreamedUpload(pieces)
        else:
            request.body = await self._bodies.spooled(pieces)

    async def _refuse(self, request: Request, route: Route, error: Exception) -> Response:
        if self._inline:
            return self._dispatcher.refuse(request, route, error)
        return await self._run(self._dispatcher.refuse, request, route, error)

    async def _websocket(self, scope: Any, protocol: Any) -> None:
        request = _request(scope)
        if _repeated(request.headers):
            protocol.close(400)
            return
        try:
            route, values = self._kernel.router.match_socket(request.path)
        except HTTPError as error:
            protocol.close(error.status)
            return
        admit = self._dispatcher.admit_socket
        refusal = admit(request) if self._inline else await self._run(admit, request)
        if refusal is not None:
            protocol.close(refusal.status)
            return
        socket = await Socket.accept(request, protocol)
        if socket is None:
            return
        task = asyncio.ensure_future(socket.run(route.handler, values, self._kernel.ids.token))
        self._sockets[socket] = task
        try:
            await asyncio.wait((task,))
        finally:
            del self._sockets[socket]


def _step_back() -> None:
    """Lower the priority of this thread, where a thread has its own."""
    if sys.platform == "linux":
        os.nice(LONG_NICENESS)


def _request(scope: Any) -> Request:
    headers = scope.headers
    return Request(
        scope.method,
        scope.path,
        scope.query_string,
        headers,
        scheme=scope.scheme,
        host=scope.authority or headers.get("host", ""),
        peer=scope.client.rpartition(":")[0].strip("[]"),
    )


def _repeated(headers: Any) -> str | None:
    """Name a header that a request may have one line of, and has more."""
    for name in SINGLE_HEADERS:
        if len(headers.get_all(name)) > 1:
            return name
    return None


def _no_length() -> HTTPError:
    return HTTPError(411, "over HTTP/2 this server takes a body only with a Content-Length")


def _unread(request: Request, response: Response) -> Response:
    """Tell a client whose body was not read that Granian will close the connection."""
    if request.headers.get("content-length", "0") != "0" or request.headers.get("transfer-encoding"):
        response.headers.append(("connection", "close"))
    return response


def _give_up(scope: Any, protocol: Any, error_id: str) -> None:
    """Answer in the plainest way, if there has been no answer yet."""
    if scope.proto == "http":
        problem = Problem("Internal Server Error", 500, error_id=error_id).response()
        protocol.response_bytes(problem.status, problem.headers, problem.body)
    else:
        protocol.close(500)


def _turn_away(scope: Any, protocol: Any) -> None:
    if scope.proto == "http":
        protocol.response_bytes(503, _STOPPING, b"the server is stopping; try again\n")
    else:
        protocol.close(503)
