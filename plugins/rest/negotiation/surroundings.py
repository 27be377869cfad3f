"""What a request tells the database beside its query, and what the database has said of the answer by its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

import msgspec

from kernel.contracts.database import RequestSettings
from kernel.http import HeaderList, Request, Response
from plugins.rest.errors import RestError

_ROOT = "/rest/v1"
_CALLS = f"{_ROOT}/rpc/"
_HEADERS, _STATUS = _WANTED = ("response.headers", "response.status")
_USUAL_PATH = ("public",)
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that are the server's own."""

_encode = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(list[dict[str, str]]).decode
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Surroundings:
    """Makes the settings of requests: names are found in a request's schema and then in `extra` ones.

    `first` is a function that is called before each request's statements: schema and name, or a name to be looked for.
    """

    def __init__(self, extra: tuple[str, ...], first: tuple[str, ...] | None) -> None:
        self._extra = extra
        self._first = first

    def of(self, request: Request, schema: str, zone: str | None) -> RequestSettings:
        """Return the settings of a request about a schema, which wants moments told in a time zone."""
        # Rows that are only read set nothing; asking for it would cost every read something.
        reads = request.method in ("GET", "HEAD") and not request.path.startswith(_CALLS)
        wanted = () if reads and self._first is None else _WANTED
        return RequestSettings(_Given(request, (schema, *self._extra), zone).told, wanted, self._first)


class _Given:
    """What a request gives, once it is asked for."""

    __slots__ = ("_path", "_request", "_told", "_zone")

    def __init__(self, request: Request, path: tuple[str, ...], zone: str | None) -> None:
        self._request = request
        self._path = path
        self._zone = zone
        self._told: Mapping[str, str] | None = None

    def told(self) -> Mapping[str, str]:
        """Return the settings by name, the same each time."""
        if self._told is None:
            self._told = self._values()
        return self._told

    def _values(self) -> Mapping[str, str]:
        request, path = self._request, tuple(dict.fromkeys(self._path))
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        values = {
            "request.method": request.method,
            "request.path": request.path.removeprefix(_ROOT),
            "request.headers": _encode(headers).decode(),
            "request.cookies": _encode(_cookies(request.headers.get("cookie") or "")).decode(),
        }
        if path != _USUAL_PATH:
            values["search_path"] = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in path)
        if self._zone is not None:
            values["timezone"] = self._zone
        return values


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: cookie.value for name, cookie in SimpleCookie(header).items()}
    except CookieError:
        return {}


def overridden(response: Response, settings: RequestSettings) -> Response:
    """Return an answer with the status and the headers that the database has set.

    Raises `RestError` PGRST111 or PGRST112 where they are none.
    """
    if not settings.left:
        return response
    status = settings.left.get(_STATUS)
    if status is not None:
        if not (status.isascii() and status.isdigit() and 200 <= int(status[:4]) <= 599):
            raise RestError(500, "PGRST112", "response.status guc must be a valid status code")
        response.status = int(status)
    headers = _headers(settings.left.get(_HEADERS, "[]"))
    names = {name for name, _ in headers}
    response.headers = [pair for pair in response.headers if pair[0] not in names] + headers
    return response


def is_header(name: str, value: str) -> bool:
    """Tell whether a header can be sent as it is."""
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


def _headers(text: str) -> HeaderList:
    """Read the headers, each in an object of its own, so that one may be there several times."""
    message = (
        "response.headers guc must be a JSON array composed of objects with a single key and a string value"
    )
    try:
        found = _decode_headers(text)
    except msgspec.DecodeError as error:
        raise RestError(500, "PGRST111", message) from error
    pairs = [(name.lower(), value) for one in found for name, value in one.items()]
    if any(len(one) != 1 for one in found) or not all(is_header(*pair) for pair in pairs):
        raise RestError(500, "PGRST111", message)
    return [pair for pair in pairs if pair[0] not in _FRAMING]
