"""What a handler sees of HTTP: requests, responses and errors, the same under every server."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import parse_qsl

import msgspec

from kernel.identity import Identity

HeaderList = list[tuple[str, str]]

_encode = msgspec.json.Encoder().encode


class Unavailable(Exception):
    """Something that an answer takes is away for now; answered 503, for whichever plugin's route."""

    retry_after: int | None = 1
    """Seconds after which a client may try again; None where it should look first what has happened."""


class NotInline(Exception):
    """Raised by an inline handler that cannot answer on the event loop; it runs again in a thread."""


class TooLong(NotInline):
    """Raised by one whose work turned out too long for the loop; its thread has a lower priority than the loop's."""


class Headers(Protocol):
    """A request's headers; names are lower case."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the header's value, or `default`; for a repeated header, the server's choice of one."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return every header line as a pair of name and value."""


class Upload(Protocol):
    """A request body that is read in pieces; a handler asks for it by the annotation ``body: Upload``.

    A plain handler reads the file `file`, positioned at its start: a slow client has already been waited for,
    on disk and not in memory. An ``async def`` handler iterates over the pieces as they arrive.
    """

    @property
    def file(self) -> BinaryIO:
        """The whole body as a binary file (plain handlers only)."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces as they arrive (``async def`` handlers only)."""


class Request:
    """One request.

    `method` is upper case, `path` decoded text beginning with a slash, `query` the undecoded query string,
    `peer` the client's address as the server saw it, `id` names the request in logs and in ``X-Request-Id``,
    `trace` is the W3C trace id (32 hexadecimal characters) or None, `identity` is set by ``kernel_identify``.
    `inline` tells whether the handler runs on the event loop, `admitted` whether the hooks before the handler
    have been asked. `state` is free for hooks to leave things in.
    """

    __slots__ = (
        "_state", "admitted", "body", "headers", "host", "id", "identity", "inline", "method", "path", "peer", "query",
        "scheme", "started", "trace",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        *,
        scheme: str = "http",
        host: str = "",
        peer: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.scheme = scheme
        self.host = host
        self.peer = peer
        self.body: bytes | Upload = b""
        self.id = ""
        self.trace: str | None = None
        self.identity: Identity | None = None
        self.inline = False
        self.admitted = False
        self.started = 0.0
        self._state: dict[str, Any] | None = None

    @property
    def state(self) -> dict[str, Any]:
        """A place for one request's things, by plugin name."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def query_items(self) -> list[tuple[str, str]]:
        """The query string's pairs, decoded, in order; a name without a value has an empty one."""
        return parse_qsl(self.query, keep_blank_values=True)

    def header_values(self, name: str) -> list[str]:
        """Return every value of a header that may be repeated, in order."""
        return [value for key, value in self.headers.items() if key == name]

    @property
    def content_length(self) -> int | None:
        """The declared length in bytes; None where there is none. Raises `HTTPError` 400 on nonsense."""
        declared = self.headers.get("content-length")
        if not declared:
            return None
        if not (declared.isascii() and declared.isdigit() and len(declared) < 19):
            raise HTTPError(400, "Content-Length is not a number")
        return int(declared)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} {self.id}>"


class FileBody:
    """A file as a response body: sent by the server itself, from `start` up to but not including `end`.

    `close`, where given, is called once the server has opened or sent the file.
    """

    __slots__ = ("close", "end", "path", "start")

    def __init__(
        self, path: Path, start: int = 0, end: int | None = None, close: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self.start = start
        self.end = path.stat().st_size if end is None else end
        self.close = close


Body = bytes | FileBody | Iterable[bytes] | AsyncIterable[bytes]


class Response:
    """One answer.

    `body` is bytes; a `FileBody`; an iterable of bytes, for a large body made piece by piece (it is spooled to
    disk, so that a slow client holds nothing); or an async iterable of bytes, for a live stream whose pieces
    are sent as they come. `headers` is a list of pairs with lower-case names. A handler may return the same
    instance again and again: it is copied before anything is added to it.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: Body = b"",
        status: int = 200,
        headers: Mapping[str, str] | HeaderList | None = None,
        *,
        content_type: str | None = None,
    ) -> None:
        self.status = _final(status)
        self.body = body
        self.headers: HeaderList = (
            [] if headers is None else list(headers.items() if isinstance(headers, Mapping) else headers)
        )
        if content_type is not None:
            self.headers.append(("content-type", content_type))

    @classmethod
    def json(
        cls, value: Any, status: int = 200, headers: Mapping[str, str] | HeaderList | None = None
    ) -> Response:
        """Answer with `value` (anything msgspec encodes) as JSON."""
        response = cls(_encode(value), status, headers)
        response.headers.append(("content-type", "application/json"))
        return response

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None; `name` is lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as clients see it: problem details (RFC 9457) with an id that also stands in the log."""

    title: str
    status: int
    detail: str | None = None
    type: str = "about:blank"
    error_id: str | None = None
    extensions: Mapping[str, Any] = {}

    def response(self, headers: HeaderList | None = None) -> Response:
        """Return the default rendering, ``application/problem+json``."""
        members = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error_id": self.error_id,
            **self.extensions,
        }
        body = _encode({name: value for name, value in members.items() if value is not None})
        return Response(body, self.status, headers, content_type="application/problem+json")


class HTTPError(Exception):
    """Stop the request with this answer; `detail` and `extensions` are shown to the client."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        title: str | None = None,
        type: str = "about:blank",  # noqa: A002 - RFC 9457's own name
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or title or reason(status))
        self.status = _final(status)
        self.title = title or reason(status)
        self.detail = detail
        self.type = type
        self.headers: HeaderList = list(headers.items()) if headers else []
        self.extensions = extensions or {}


_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required",
    412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    416: "Range Not Satisfiable", 422: "Unprocessable Content", 423: "Locked", 428: "Precondition Required",
    429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


def _final(status: int) -> int:
    """Return the status; a server cannot send, and may not survive, one that is no final response's."""
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not the status of a response; use one from 200 to 599")
    return status


def reason(status: int) -> str:
    """Return the reason phrase of RFC 9110 for an error status."""
    return _REASONS.get(status, "Error")


def respond(result: Any) -> Response:
    """Turn what a handler returned into a `Response`.

    A `Response` is copied, so that it may be a constant: what is added on its way out is one request's own. None
    is 204; bytes are ``application/octet-stream``; text is ``text/plain``; an iterator or async iterator is a
    stream of bytes; all else is encoded as JSON.
    """
    if isinstance(result, Response):
        own = Response.__new__(Response)  # what __init__ checks has been checked
        own.status = result.status
        own.body = result.body
        own.headers = result.headers.copy()
        return own
    if result is None:
        return Response(status=204)
    if isinstance(result, bytes):
        return Response(result, content_type="application/octet-stream")
    if isinstance(result, str):
        return Response(result.encode(), content_type="text/plain; charset=utf-8")
    if isinstance(result, Iterator | AsyncIterator):
        return Response(result, content_type="application/octet-stream")
    return Response.json(result)
