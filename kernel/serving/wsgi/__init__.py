"""The WSGI application (PEP 3333): ``kernel.serving.wsgi:application`` under any WSGI server, without WebSockets.

The server's process boots a kernel of the project in ``KERNEL_PROJECT``, or in the working directory, when the
name `application` is first looked up; a process forked from it afterwards boots one of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kernel.http import FileBody, Request, Response
from kernel.routing import Match
from kernel.serving.wsgi.bodies import AsyncPieces, Pieces, file_pieces, read_body

if TYPE_CHECKING:
    from kernel.kernel import Kernel

T = TypeVar("T")
Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_UNPREFIXED = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_BODYLESS = frozenset({204, 304})

_log = logging.getLogger("kernel.serving")


class WSGIApplication:
    """Serves one started kernel; `close` ends its event loop and stops the kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._dispatcher = kernel.dispatcher
        self._folder = kernel.data / "tmp"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._loop = LoopThread()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = _request(environ)
        response = self._answer(request, environ)
        body: Any = response.body
        headers = response.headers
        if isinstance(body, bytes):
            if (body or request.method != "HEAD") and response.status not in _BODYLESS:
                _declare(headers, len(body))
            start_response(_status(response.status), headers)
            return [body]
        if isinstance(body, FileBody):
            _declare(headers, body.end - body.start)
            pieces: Iterable[bytes] = file_pieces(body, environ.get("wsgi.file_wrapper"))
        else:
            pieces = body
        start_response(_status(response.status), headers)
        return pieces

    def close(self) -> None:
        """End the event loop, then stop the kernel."""
        self._loop.close()
        self._kernel.stop()

    def _answer(self, request: Request, environ: Environ) -> Response:
        found = self._dispatcher.route(request)
        if isinstance(found, Response):
            return found
        route = found.route
        if route.body is not None:
            try:
                request.body = read_body(environ, request, route, self._dispatcher, self._folder)
            except Exception as error:
                return self._dispatcher.refuse(request, route, error)
        return self._handle(request, found)

    def _handle(self, request: Request, match: Match) -> Response:
        begin = partial(self._begin, request)
        if not match.route.is_async:
            return self._dispatcher.handle(request, match, begin)
        return self._loop.run(self._dispatcher.handle_async(request, match, begin, in_thread))

    def _begin(self, request: Request, body: Any) -> Pieces:
        """Draw a streamed body's first piece, so that one which fails at once is still answered as an error."""
        iterator = AsyncPieces(body, self._loop.run) if hasattr(body, "__aiter__") else iter(body)
        return Pieces(iterator, request.id)


class LoopThread:
    """An event loop in a thread of its own, started when an ``async def`` handler first needs it."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="kernel-loop", daemon=True
                )
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Cancel what still runs on the loop, and end it."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Await a function on a thread of the running loop's pool."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def _cancel_others() -> None:
    loop = asyncio.get_running_loop()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


class EnvironHeaders:
    """The header lines in a WSGI environment; a repeated header is one line, joined by the server."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value; `name` is lower case."""
        value = self._environ.get(_variable(name))
        if not value:
            return default if value is None or name in _UNPREFIXED else value
        return value if value.isascii() else _text(value)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield every header."""
        for key, value in self._environ.items():
            if key.startswith("HTTP_"):
                yield key[5:].lower().replace("_", "-"), _text(value)
        for name, key in _UNPREFIXED.items():
            value = self._environ.get(key)
            if value:
                yield name, _text(value)


@lru_cache(maxsize=512)
def _variable(name: str) -> str:
    return _UNPREFIXED.get(name) or f"HTTP_{name.upper().replace('-', '_')}"


def _text(value: str) -> str:
    """Decode what PEP 3333 hands over as Latin-1; bytes that are not UTF-8 become U+FFFD, which a path may not hold."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


def _request(environ: Environ) -> Request:
    get = environ.get
    return Request(
        environ["REQUEST_METHOD"],
        _text(get("PATH_INFO") or "/"),
        get("QUERY_STRING", ""),
        EnvironHeaders(environ),
        scheme=environ["wsgi.url_scheme"],
        host=get("HTTP_HOST") or environ["SERVER_NAME"],
        peer=get("REMOTE_ADDR", ""),
    )


def _status(code: int) -> str:
    return _STATUS.get(code) or f"{code} Unknown"


def _declare(headers: list[tuple[str, str]], length: int) -> None:
    if not any(name == "content-length" for name, _ in headers):
        headers.append(("content-length", str(length)))


def make_application(kernel: Kernel) -> WSGIApplication:
    """Return a WSGI application over a started kernel."""
    return WSGIApplication(kernel)


def boot_application() -> Application:
    """Boot the project's kernel in this process, to be stopped at its exit; raises `KernelError`."""
    process, serving = os.getpid(), _boot()
    lock = threading.Lock()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        nonlocal process, serving
        if os.getpid() != process:
            with lock:
                if os.getpid() != process:
                    serving, process = _boot(), os.getpid()
        return serving(environ, start_response)

    return application


def _boot() -> WSGIApplication:
    from kernel.config import Config
    from kernel.kernel import Kernel

    kernel = Kernel(Config.load(Path(os.environ.get("KERNEL_PROJECT") or Path.cwd())))
    kernel.start()
    serving = WSGIApplication(kernel)
    process = os.getpid()

    def stop() -> None:
        if os.getpid() == process:
            serving.close()

    _at_exit(stop)
    return serving


def _at_exit(stop: Callable[[], None]) -> None:
    """Call `stop` when this process ends; children of `multiprocessing`, as Granian's workers are, skip `atexit`."""
    if "multiprocessing.util" in sys.modules:
        from multiprocessing import parent_process
        from multiprocessing.util import Finalize

        if parent_process() is not None:
            Finalize(None, stop, exitpriority=100)
            return
    atexit.register(stop)


def __getattr__(name: str) -> Any:
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    application = globals()[name] = boot_application()
    return application
