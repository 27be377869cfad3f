"""HTTP/2 without TLS, as proxies speak it, by a client that can also break a stream off."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

MEGABYTE = 1 << 20


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def status(self) -> int:
        return int(self.headers[":status"])


class Client:
    """One connection; `stream` is the number of the last request's stream."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self.stream = -1

    def begin(self, method: str, path: str, *, end: bool = False, **headers: str) -> None:
        """Send a request's head; with `end`, it has no body."""
        self.stream += 2
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "a")]
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self._h2.send_headers(self.stream, head + named, end_stream=end)
        self._flush()

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of the body that needs no leave, so less than 64 kB in all."""
        self._h2.send_data(self.stream, data, end_stream=end)
        self._flush()

    def reset(self, stream: int) -> None:
        self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        self._flush()

    def answer(self) -> Answer:
        """Read the last request's answer to its end."""
        answer = Answer()
        while True:
            for event in self._events():
                if getattr(event, "stream_id", None) != self.stream:
                    continue
                if isinstance(event, ResponseReceived):
                    answer.headers = dict(event.headers)
                elif isinstance(event, DataReceived):
                    answer.body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                assert not isinstance(event, StreamReset), f"reset after {answer}"
                if isinstance(event, StreamEnded):
                    self._flush()
                    return answer
            self._flush()

    def receive_some(self) -> None:
        """Read until a piece of the last request's answer has come."""
        while not any(isinstance(event, DataReceived) for event in self._events()):
            pass

    def go_away(self) -> None:
        """Wait to be told to go (GOAWAY), and go."""
        told = False
        while not told:
            received = self._socket.recv(
                17
            )  # the length of such a frame: what follows one is not ours any more
            told = any(isinstance(event, ConnectionTerminated) for event in self._h2.receive_data(received))
        self._socket.close()

    def _events(self) -> list[Event]:
        received = self._socket.recv(1 << 16)
        assert received, "the connection ended"
        return self._h2.receive_data(received)

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@pytest.fixture
def client(server) -> Iterator[Client]:
    with server.connect() as connection:
        yield Client(connection)


def test_requests_on_one_connection_are_answered(client):
    for _ in range(3):
        client.begin("GET", "/headers?a=1", end=True, x_thing="yes")
        answer = client.answer()
        assert answer.status == 200
        seen = json.loads(answer.body)
        assert seen["host"] == "a"
        assert ["x-thing", "yes"] in seen["all"]
    client.begin("GET", "/nowhere", end=True)
    assert client.answer().status == 404


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
def test_a_body_with_a_length_comes_whole(client, path):
    client.begin("POST", path, content_length="1000")
    client.send(b"x" * 400)
    client.send(b"x" * 600, end=True)
    assert client.answer().body == b"1000"


def test_a_request_without_a_body_needs_no_length(client):
    client.begin("POST", "/bytes", end=True)
    assert client.answer().body == b"0"


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
def test_a_body_without_a_length_is_refused(client, path):
    client.begin("POST", path)
    client.send(b"x" * 400)
    client.send(b"x" * 600, end=True)
    answer = client.answer()
    assert answer.status == 411
    assert b"Content-Length" in answer.body


def test_a_download_comes_whole(client):
    client.begin("GET", "/many?160", end=True)
    assert len(client.answer().body) == 10 * MEGABYTE


def test_a_live_stream_ends_when_its_client_resets_it(server, client):
    before = server.notes.count("stream closed")
    client.begin("GET", "/live", end=True)
    client.receive_some()
    assert server.notes.count("stream closed") == before
    client.reset(client.stream)
    server.wait_for("stream closed", before + 1)


@pytest.mark.parametrize("name", ["authorization", "apikey"])
def test_two_credentials_are_refused(client, name):
    client.begin("GET", "/plain", end=True, **{name: "a", name.upper(): "b"})
    assert client.answer().status == 400


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
def test_a_body_that_was_reset_holds_nobody_up(run, path):
    server = run(kernel__grace_seconds="30")
    with server.connect() as connection:
        client = Client(connection)
        client.begin("POST", path, content_length="1000")
        client.send(b"x" * 400)
        client.reset(client.stream)
        client.begin("GET", "/headers", end=True)
        assert client.answer().status == 200
        begun = time.monotonic()
        server.popen.send_signal(signal.SIGTERM)
        client.go_away()
        assert server.popen.wait(10) == 0
        assert time.monotonic() - begun < 10
