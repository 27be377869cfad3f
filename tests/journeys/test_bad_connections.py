"""Bytes that are not quite HTTP, requests that stop half-way: refused or let go, and nobody else notices."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

COUNTRY = {"alpha_2": "QQ", "alpha_3": "QQQ", "numeric_code": "QQQ", "name": "Nowhere", "flag": "🏴"}
BODY = json.dumps(COUNTRY).encode()
LIMIT = 100_000
PATIENCE = 1.0


@pytest.fixture(scope="module")
def server(module_project: Path, serving: Callable[..., Any]) -> Iterator[Any]:
    settings = {"kernel__max_body_bytes": str(LIMIT), "kernel__body_timeout_seconds": str(PATIENCE)}
    with serving(module_project, **settings) as server:
        yield server


@pytest.fixture
def connection(server: Any, wire: Callable[..., Any]) -> Iterator[Any]:
    """A connection of any bytes; whatever went over it, others are answered and no country came to be."""
    with wire(server, timeout=8.0) as connection:
        yield connection
    with wire(server, timeout=3.0) as other:
        reply = other.request("GET", "/rest/v1/countries?select=name")
        other.request("DELETE", "/rest/v1/countries")
        assert (reply.status, reply.json()) == (200, [])


def head(server: Any, start: str, *lines: str) -> bytes:
    """A request's head with the service key."""
    named = [f"{name}: {value}" for name, value in server.headers.items()]
    return "\r\n".join([start, f"host: 127.0.0.1:{server.port}", *named, *lines, "", ""]).encode()


def assert_refused(reply: Any, *statuses: int) -> None:
    """The kernel's own refusals say why in a body; the HTTP parser's may be empty, or a closed door."""
    if reply is None:
        return
    assert reply.status in (statuses or range(400, 500)), reply
    if reply.body:
        error = reply.json()
        assert error.get("detail") or error.get("message")
        assert "Traceback" not in reply.body.decode()


POST = "POST /rest/v1/countries HTTP/1.1"
GET = "GET /rest/v1/countries HTTP/1.1"

NOT_HTTP: dict[str, bytes] = {
    "a TLS greeting": bytes.fromhex("1603010200010001fc0303") + b"\x11" * 200,
    "binary rubbish": bytes(range(256)) * 8,
    "a request line only": b"GET\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "an unknown version": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "two blanks": b"GET  /  HTTP/1.1\r\nhost: x\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nhost: x\r\nname: a\0b\r\n\r\n",
    "a bare carriage return in a header": b"GET / HTTP/1.1\r\nhost: x\r\nname: a\rb: c\r\n\r\n",
    "a NUL in the target": b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a broken HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
}


@pytest.mark.parametrize("what", NOT_HTTP)
def test_what_is_not_http_is_refused_or_let_go(connection: Any, what: str) -> None:
    connection.send(NOT_HTTP[what])
    connection.end()
    try:
        reply = connection.reply()
    except Exception as error:  # an answer in another protocol: an HTTP/2 GOAWAY
        assert "HTTP/2" in what, error  # noqa: PT017
    else:
        assert_refused(reply)


FRAMING: dict[str, tuple[tuple[str, ...], bytes]] = {
    "two lengths": (("content-length: 5", "content-length: 6"), b"12345"),
    "a negative length": (("content-length: -1",), b""),
    "a length that is no number": (("content-length: five",), b"12345"),
    "a length with a sign": (("content-length: +5",), b"12345"),
    "a length of 20 digits": (("content-length: 99999999999999999999",), b"12345"),
    "an unknown transfer coding": (("transfer-encoding: smoke",), b"12345"),
    "chunked twice": (("transfer-encoding: chunked, chunked",), b"0\r\n\r\n"),
    "a chunk size that is no number": (("transfer-encoding: chunked",), b"zz\r\n12345\r\n0\r\n\r\n"),
    "a chunk size past 64 bits": (("transfer-encoding: chunked",), b"fffffffffffffffff\r\n12345"),
    "a negative chunk size": (("transfer-encoding: chunked",), b"-5\r\n12345\r\n0\r\n\r\n"),
    "a chunk longer than it says": (("transfer-encoding: chunked",), b"2\r\n12345\r\n0\r\n\r\n"),
    "an unknown expectation": (("expect: a-miracle", "content-length: 5"), b"12345"),
}


@pytest.mark.parametrize("what", FRAMING)
def test_a_body_framed_wrongly_is_refused_and_its_bytes_are_no_request(
    connection: Any, server: Any, what: str
) -> None:
    lines, body = FRAMING[what]
    connection.send(head(server, POST, "content-type: application/json", *lines) + body)
    connection.end()
    assert_refused(connection.reply("POST"), 400, 411, 413, 417, 501)


def test_a_request_smuggled_behind_two_framings_is_not_answered_twice(connection: Any, server: Any) -> None:
    smuggled = head(server, "GET /rest/v1/countries?smuggled HTTP/1.1")
    lines = ("content-type: application/json", "content-length: 4", "transfer-encoding: chunked")
    connection.send(head(server, POST, *lines) + b"0\r\n\r\n" + smuggled)
    connection.end()
    assert_refused(connection.reply("POST"), 400)


TRUNCATED: dict[str, tuple[str, bytes]] = {
    "by length": ("content-length: 5000", BODY[:-10]),
    "by length, though what came is a whole document": ("content-length: 5000", BODY),
    "by length, one byte short": (f"content-length: {len(BODY) + 1}", BODY),
    "by chunks": ("transfer-encoding: chunked", b"%x\r\n%s" % (len(BODY) + 50, BODY)),
    "by chunks, though what came is a whole document": (
        "transfer-encoding: chunked",
        b"%x\r\n%s\r\n" % (len(BODY), BODY),
    ),
    "by chunks, with the last one cut": (
        "transfer-encoding: chunked",
        b"%x\r\n%s\r\n0\r" % (len(BODY), BODY),
    ),
    "with nothing at all": ("content-length: 5000", b""),
}


@pytest.mark.parametrize("what", TRUNCATED)
@pytest.mark.parametrize("ending", ["end of stream", "reset"])
def test_an_upload_cut_off_writes_nothing(connection: Any, server: Any, what: str, ending: str) -> None:
    framing, body = TRUNCATED[what]
    connection.send(head(server, POST, "content-type: application/json", framing) + body)
    if ending == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    else:
        connection.end()
        assert_refused(connection.reply("POST"))


@pytest.mark.parametrize("what", TRUNCATED)
def test_an_upload_that_stalls_is_given_up(connection: Any, server: Any, what: str) -> None:
    framing, body = TRUNCATED[what]
    connection.send(head(server, POST, "content-type: application/json", framing) + body)
    start = monotonic()
    assert_refused(connection.reply("POST"), 408)
    assert monotonic() - start < PATIENCE + 3


def test_an_upload_over_the_limit_is_refused_before_it_is_sent(connection: Any, server: Any) -> None:
    lines = ("content-type: application/json", f"content-length: {LIMIT + 1}")
    connection.send(head(server, POST, *lines))
    reply = connection.reply("POST")
    assert reply is not None
    assert_refused(reply, 413)
    assert reply.headers["connection"] == "close"
    assert str(LIMIT) in reply.body.decode()


def test_an_endless_upload_is_refused_at_the_limit(connection: Any, server: Any) -> None:
    connection.send(head(server, POST, "content-type: application/json", "transfer-encoding: chunked"))
    for _ in range(3 * LIMIT // 10_000):
        connection.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
    assert_refused(connection.reply("POST"), 413)


def test_an_upload_byte_by_byte_within_the_patience_is_read(connection: Any, server: Any, wire: Any) -> None:
    connection.send(head(server, POST, "content-type: application/json", f"content-length: {len(BODY)}"))
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.send(*(BODY[at : at + 1] for at in range(len(BODY))))
    reply = connection.reply("POST")
    assert reply is not None
    assert reply.status == 201
    assert connection.request("DELETE", "/rest/v1/countries?alpha_2=eq.QQ").status == 204


def test_continue_is_given_before_a_body_that_waits_for_it(connection: Any, server: Any) -> None:
    lines = ("content-type: application/json", "content-length: 1", "expect: 100-continue")
    connection.send(head(server, POST, *lines))
    assert connection.socket.recv(25).startswith(b"HTTP/1.1 ")
    connection.send(b"x")


FORBIDDEN_PATHS = [
    "/%00",
    "/rest/v1/%00",
    "/rest/v1/countries%00",
    "/rest/v1/countr%FFies",
    "/rest/v1/%C0%AF",
    "/rest/v1/%ED%A0%80",
    "/rest/v1/../v1/countries",
    "/rest/v1/%2e%2e/countries",
    "/rest/v1/./countries",
    "/rest/%2e/v1/countries",
    "/rest/v1/..%2fcountries",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/rest/v1/%5ccountries",
    "/rest/v1/coun%0d%0atries",
    "/rest/v1/countries%0a",
    "/rest/v1/countries%7f",
]
PATHS_TO_NOWHERE = [
    "/rest/v1\\countries",
    "/rest/v1/countries%2Fx",
    "//rest/v1/countries",
    "/rest//v1/countries",
    "/rest/v1//countries",
    "/REST/V1/countries",
    "/rest/v1/countries%20",
    "/rest/v1/countries;x=1",
    "/rest/v1/%zz",
    "/rest/v1/%",
    "/rest/v1/%2",
    "/" + "a" * 9_000,
    "/" + "a/" * 4_500,
    "/rest/v1/" + "%41" * 3_000,
    "/" + "a" * 200_000,
    "rest/v1/countries",
    "*",
    "?",
    "/rest/v1/\u00e9",
    "/rest/v1/\udcff",
]


def send_to(connection: Any, server: Any, method: str, path: str) -> Any:
    body = BODY if method == "POST" else b""
    lines = ("content-type: application/json", f"content-length: {len(body)}")
    start = f"{method} {path} HTTP/1.1".encode("utf-8", "surrogateescape")
    connection.send(head(server, "START", *lines).replace(b"START", start, 1) + body)
    return connection.reply(method)


@pytest.mark.parametrize("path", FORBIDDEN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_path_of_forbidden_characters_or_segments_is_refused(
    connection: Any, server: Any, method: str, path: str
) -> None:
    reply = send_to(connection, server, method, path)
    assert reply is not None
    assert_refused(reply, 400)
    assert "path" in reply.json()["detail"]


@pytest.mark.parametrize("path", PATHS_TO_NOWHERE, ids=lambda path: ascii(path[:24]))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_trick_in_the_path_leads_nowhere(connection: Any, server: Any, method: str, path: str) -> None:
    assert_refused(send_to(connection, server, method, path), 400, 404, 405, 414)


@pytest.mark.parametrize(
    "path",
    [
        "/rest/v1/%63ountries",
        "/rest/v1/countries?",
        "/rest/v1/countries?&&",
        "/rest/v1/countries?select=name#x",
    ],
)
def test_a_path_written_otherwise_is_the_same_path(connection: Any, server: Any, path: str) -> None:
    connection.send(head(server, f"GET {path} HTTP/1.1"))
    reply = connection.reply()
    assert reply is not None
    assert reply.status in (200, 400), reply


HEADERS: dict[str, bytes] = {
    "150 of them": b"".join(b"x-%d: 1\r\n" % number for number in range(150)),
    "one of 200 kB": b"x: " + b"a" * 200_000 + b"\r\n",
    "a name of 100 kB": b"a" * 100_000 + b": x\r\n",
    "bytes that are not UTF-8": b"x: \xff\xfe\x80\r\n",
    "a credential that is not UTF-8": b"authorization: Bearer \xff\r\n",
    "a request id with a line break, encoded": b"x-request-id: a%0d%0aset-cookie: b\r\n",
    "folded over two lines": b"x: a\r\n b\r\n",
    "two hosts": b"host: elsewhere\r\n",
    "CORS headers in odd bytes": b"origin: \xc3\xa9\r\naccess-control-request-headers: \xc3\xa9\x7e\r\n",
    "an upgrade to WebSocket": b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "an upgrade to HTTP/2": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAMAAABk\r\n",
    "itself named in connection": b"connection: authorization\r\n",
}


@pytest.mark.parametrize("what", HEADERS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_odd_headers_are_refused_or_make_no_difference(
    connection: Any, server: Any, method: str, what: str
) -> None:
    usual = head(server, f"{method} /rest/v1/countries HTTP/1.1")
    connection.send(usual[:-2] + HEADERS[what] + b"\r\n")
    connection.end()
    reply = connection.reply(method)
    if reply is not None and reply.status >= 300:
        assert_refused(reply)
    if reply is not None:
        assert "set-cookie" not in reply.headers


def test_heads_and_bodies_half_sent_do_not_hold_up_others_or_the_stop(
    project: Path, serve: Callable[..., Any], wire: Callable[..., Any]
) -> None:
    server = serve(project, kernel__grace_seconds="1", kernel__body_timeout_seconds="60")
    upload = head(server, POST, "content-type: application/json", f"content-length: {len(BODY)}") + BODY[:9]
    with ExitStack() as stack:
        for half in (b"", b"G", b"GET / HTTP/1.1\r\nhost", upload) * 15:
            connection = stack.enter_context(wire(server))
            connection.send(half)
        with wire(server, timeout=2.0) as other:
            for _ in range(20):
                reply = other.request("GET", "/rest/v1/countries?select=name")
                assert (reply.status, reply.json()) == (200, [])
        start = monotonic()
        assert server.stop() == 0
        assert monotonic() - start < 6
