"""A client that takes requests through a kernel's dispatcher in this process, as a server would."""

from __future__ import annotations

import io
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote_to_bytes, urlencode

import msgspec

from kernel.contracts.keys import Keys
from kernel.errors import ServiceError
from kernel.http import Body, FileBody, HTTPError, NotInline, Request, Response, Upload
from kernel.testing.loop import LoopThread

if TYPE_CHECKING:
    from kernel.kernel import Kernel
    from kernel.routing import Match, Route
    from kernel.testing.sockets import SocketClient

HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]
BodyInput = bytes | str | Iterable[bytes] | BinaryIO
QueryInput = Mapping[str, str] | Iterable[tuple[str, str]] | str

_JSON = "application/json"


class Headers:
    """A request's header lines; `get` returns the first of a repeated one.

    Of several sets of lines, a later one replaces what an earlier one says under the same name.
    """

    def __init__(self, *lines: HeaderInput) -> None:
        self._lines: list[tuple[str, str]] = []
        for given in lines:
            pairs = given.items() if isinstance(given, Mapping) else given
            lines_given = [(name.lower(), value) for name, value in pairs]
            replaced = {name for name, _ in lines_given}
            self._lines = [line for line in self._lines if line[0] not in replaced] + lines_given
        self._first = dict(reversed(self._lines))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of a header, or `default`."""
        return self._first.get(name, default)

    def items(self) -> Iterable[tuple[str, str]]:
        """Return every header line."""
        return list(self._lines)


class Reply:
    """What came back: `status`, `headers` as pairs, and the whole `body`, streams read to their end."""

    def __init__(self, request: Request, response: Response, body: bytes) -> None:
        self.request = request
        self.status = response.status
        self.headers = list(response.headers)
        self.body = body

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body, decoded from JSON."""
        return msgspec.json.decode(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def expect(self, status: int) -> Reply:
        """Assert the status, showing the body where it differs; return the reply itself."""
        assert self.status == status, (
            f"{self.request.method} {self.request.path} answered {self.status} "
            f"{HTTPStatus(self.status).phrase}, not {status}: {self.body[:2000]!r}"
        )
        return self

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.body[:60]!r}>"


class Client:
    """Requests to one kernel; `headers` go along with each.

    Async handlers and sockets run on an event loop in a thread of the client's own, started when
    needed; `close` ends it.
    """

    def __init__(self, kernel: Kernel, headers: HeaderInput = ()) -> None:
        self.kernel = kernel
        self.headers = Headers(headers)
        self._loop = LoopThread()
        self._inline = Lock()

    def close(self) -> None:
        """End the client's event loop and every socket on it."""
        self._loop.close()

    def with_headers(self, headers: HeaderInput) -> Client:
        """Return a client on the same kernel and loop that sends `headers` too."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, headers=Headers(self.headers.items(), headers))
        return other

    def as_role(self, role: str, subject: str | None = None, **claims: Any) -> Client:
        """Return a client that speaks for `role`.

        ``anon`` and ``service_role`` without claims send the project's API key; any other role, or a
        `subject` (a user's id), sends a token signed by the kernel's `Keys`, valid for an hour of its clock.
        """
        keys = self._keys()
        if subject is None and not claims and role in ("anon", "service_role"):
            token = keys.api_key(role)
        else:
            now = int(self.kernel.clock.now().timestamp())
            who = {} if subject is None else {"sub": subject}
            token = keys.sign({"role": role, **who, "iat": now, "exp": now + 3600, **claims})
        return self.with_headers({"apikey": token, "authorization": f"Bearer {token}"})

    def get(self, path: str, **options: Any) -> Reply:
        """Send GET; the options are `request`'s."""
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> Reply:
        """Send HEAD; the options are `request`'s."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Reply:
        """Send OPTIONS; the options are `request`'s."""
        return self.request("OPTIONS", path, **options)

    def post(self, path: str, **options: Any) -> Reply:
        """Send POST; the options are `request`'s."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Reply:
        """Send PUT; the options are `request`'s."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Reply:
        """Send PATCH; the options are `request`'s."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        """Send DELETE; the options are `request`'s."""
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: QueryInput = "",
        headers: HeaderInput = (),
        json: Any = msgspec.UNSET,
        body: BodyInput = b"",
    ) -> Reply:
        """Send one request and read the whole answer.

        `path` may carry a query string; percent-escapes in it are decoded as a server decodes them. `json` is
        encoded as the body; a `body` that is neither bytes nor text is sent in pieces, without a length.
        """
        content, lines = _content(json, body)
        request = self._request(method, path, query, Headers(self.headers.items(), lines, headers))
        response = self._respond(request, content)
        try:
            return Reply(request, response, self._read(response))
        finally:
            close = getattr(response.body, "close", None)
            if callable(close):
                close()

    def websocket(self, path: str, *, query: QueryInput = "", headers: HeaderInput = ()) -> SocketClient:
        """Open a WebSocket: ``with client.websocket("/realtime") as socket``. Raises `SocketRefused`."""
        from kernel.testing.sockets import SocketClient

        request = self._request("GET", path, query, Headers(self.headers.items(), headers))
        return SocketClient(self.kernel, self._loop, request)

    def _request(self, method: str, path: str, query: QueryInput, headers: Headers) -> Request:
        bare, _, attached = path.partition("?")
        extra = (
            query if isinstance(query, str) else urlencode(query if isinstance(query, Mapping) else [*query])
        )
        return Request(
            method,
            # As Granian does it: decoded, bad UTF-8 replaced.
            unquote_to_bytes(bare).decode(errors="replace"),
            "&".join(part for part in (quote(attached, safe=_QUERY_SAFE), extra) if part),
            headers,
            host=headers.get("host", "testserver"),
            peer="127.0.0.1",
        )

    def _respond(self, request: Request, content: bytes | Iterable[bytes]) -> Response:
        dispatcher = self.kernel.dispatcher
        found = dispatcher.route(request)
        if isinstance(found, Response):
            return found
        try:
            request.body = self._body(request, found.route, content)
        except HTTPError as error:
            return dispatcher.refuse(request, found.route, error)
        if found.route.is_async:
            return self._loop.run(dispatcher.handle_async(request, found, _begin, self._loop.in_thread))
        if found.route.inline and dispatcher.inline:
            request.inline = True
            try:
                return self._handle_inline(request, found)
            except NotInline:
                request.inline = False
        return dispatcher.handle(request, found, _begin)

    def _handle_inline(self, request: Request, match: Match) -> Response:
        # A server has one loop, so inline handlers never meet one another.
        if self._loop.running:
            return self._loop.call(self.kernel.dispatcher.handle, request, match, _begin)
        with self._inline:
            return self.kernel.dispatcher.handle(request, match, _begin)

    def _body(self, request: Request, route: Route, content: bytes | Iterable[bytes]) -> bytes | Upload:
        if route.body is None:
            return b""
        dispatcher = self.kernel.dispatcher
        pieces = _limited(
            [content] if isinstance(content, bytes) else content,
            request.content_length,
            dispatcher.body_limit(route),
            dispatcher.too_large(route),
        )
        if route.body is Upload and route.is_async:
            return _Pieces(pieces)
        whole = b"".join(pieces)
        return _Spooled(whole) if route.body is Upload else whole

    def _read(self, response: Response) -> bytes:
        body = response.body
        if isinstance(body, bytes):
            return body
        if isinstance(body, FileBody):
            with body.path.open("rb") as file:
                file.seek(body.start)
                return file.read(body.end - body.start)
        assert isinstance(body, AsyncIterable)
        return self._loop.run(_joined(body))

    def _keys(self) -> Keys:
        try:
            return self.kernel.services[Keys]
        except ServiceError as error:
            raise ServiceError("as_role needs a plugin that provides Keys; add one to make_kernel") from error


_QUERY_SAFE = "!$&'()*+,;=:@/?%-._~[]|\"<>^`{}\\"


class _Spooled:
    """An upload for a plain handler: a file, already read from the client."""

    def __init__(self, whole: bytes) -> None:
        self.file: BinaryIO = io.BytesIO(whole)

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise TypeError("a plain handler reads body.file; only an async one iterates over the body")


class _Pieces:
    """An upload for an async handler: its pieces as they arrive."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    @property
    def file(self) -> BinaryIO:
        raise TypeError("an async handler iterates over the body; only a plain one reads body.file")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def _begin(body: Body) -> Body:
    """Make all of an iterable, as a server does before it sends any of it; a live stream is begun when it is read."""
    return body if isinstance(body, bytes | FileBody | AsyncIterable) else b"".join(body)


async def _joined(body: AsyncIterable[bytes]) -> bytes:
    return b"".join([piece async for piece in body])


def _content(json: Any, body: BodyInput) -> tuple[bytes | Iterable[bytes], list[tuple[str, str]]]:
    """Return the body's pieces and the headers that tell of them."""
    if json is not msgspec.UNSET:
        content: bytes | Iterable[bytes] = msgspec.json.encode(json)
        lines = [("content-type", _JSON)]
    else:
        content = body.encode() if isinstance(body, str) else body
        lines = []
    if isinstance(content, bytes) and content:
        lines.append(("content-length", str(len(content))))
    return content, lines


def _limited(
    pieces: Iterable[bytes], declared: int | None, limit: int, too_large: HTTPError
) -> Iterable[bytes]:
    """Pass pieces on as a server does: no more than the route takes, no less than was declared."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise too_large
        yield piece
    if declared is not None and size < declared:
        raise HTTPError(400, f"the body broke off after {size} of {declared} bytes")
