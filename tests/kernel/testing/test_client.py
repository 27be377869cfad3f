from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from kernel import (
    FileBody,
    HTTPError,
    Identity,
    Plugin,
    Request,
    Response,
    Route,
    Upload,
    WebSocket,
    WebSocketRoute,
    hookimpl,
    nonblocking,
)
from kernel.http import NotInline
from kernel.testing import Client, SocketRefused
from kernel.testing.pytest_plugin import MakeKernel


class Note(msgspec.Struct):
    text: str


class EchoPlugin(Plugin):
    """Routes of every kind."""

    name = "echo"

    @hookimpl
    @nonblocking
    def kernel_identify(self, request: Request) -> Identity | None:
        if request.headers.get("authorization") == "bad":
            raise HTTPError(401, "no")
        return None

    @hookimpl
    def kernel_routes(self) -> Iterable[Route | WebSocketRoute]:
        yield Route("GET", "/plain", lambda request: {"query": request.query_items})
        yield Route("GET", "/under/{name}", lambda request, name: {"name": name})
        yield Route("POST", "/typed", self.typed)
        yield Route("POST", "/raw", self.raw, max_body_bytes=10)
        yield Route("POST", "/spooled", self.spooled)
        yield Route("POST", "/pieces", self.pieces, max_body_bytes=10)
        yield Route("GET", "/inline", self.inline, inline=True)
        yield Route("GET", "/async", self.on_loop)
        yield Route("GET", "/file", self.file)
        yield Route("GET", "/made", self.made)
        yield Route("GET", "/live", self.live)
        yield WebSocketRoute("/socket/{name}", self.socket)

    def typed(self, request: Request, body: Note) -> Note:
        return body

    def raw(self, request: Request, body: bytes) -> bytes:
        return body

    def spooled(self, request: Request, body: Upload) -> bytes:
        return body.file.read()

    async def pieces(self, request: Request, body: Upload) -> list[int]:
        return [len(piece) async for piece in body]

    def inline(self, request: Request) -> dict[str, bool]:
        if request.inline and request.query == "large":
            raise NotInline
        return {"inline": request.inline}

    async def on_loop(self, request: Request) -> str:
        return threading.current_thread().name

    def file(self, request: Request) -> Response:
        return Response(FileBody(Path(__file__), 4, 8))

    def made(self, request: Request) -> Iterator[bytes]:
        yield b"piece "
        yield b"by piece"

    async def live(self, request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"as "
            yield b"they come"

        return Response(body())

    async def socket(self, socket: WebSocket, name: str) -> None:
        async for message in socket:
            if message == "break":
                raise LookupError(name)
            if message == "leave":
                return
            await socket.send(f"{name}: {message!r}")


@pytest.fixture
def client(make_kernel: MakeKernel) -> Client:
    return make_kernel(plugins=[EchoPlugin]).client


def test_paths_and_queries_arrive_decoded_as_a_server_decodes_them(client: Client) -> None:
    assert client.get("/plain?a=1&b=%20x", query={"c": "ü"}).json() == {
        "query": [["a", "1"], ["b", " x"], ["c", "ü"]]
    }
    assert client.get("/under/a%20b").json() == {"name": "a b"}
    assert client.get("/under/%FF").status == 400


def test_a_json_body_is_typed_and_the_reply_is_readable(client: Client) -> None:
    reply = client.post("/typed", json={"text": "hello"}).expect(200)
    assert (reply.json(), reply.text, reply.header("Content-Type")) == (
        {"text": "hello"},
        '{"text":"hello"}',
        "application/json",
    )
    with pytest.raises(AssertionError, match="POST /typed answered 422"):
        client.post("/typed", json={"text": 1}).expect(200)


@pytest.mark.parametrize("path", ["/raw", "/pieces"])
def test_a_body_over_the_limit_is_refused_with_and_without_a_length(client: Client, path: str) -> None:
    assert client.post(path, body=b"x" * 10).status == 200
    assert client.post(path, body=b"x" * 11).status == 413
    assert client.post(path, body=iter([b"x" * 6, b"x" * 5])).status == 413


def test_a_body_shorter_than_declared_is_refused(client: Client) -> None:
    assert client.post("/raw", body=b"x", headers={"content-length": "2"}).status == 400


def test_uploads_are_read_as_a_file_or_in_pieces(client: Client) -> None:
    assert client.post("/spooled", body=iter([b"a", b"b"])).body == b"ab"
    assert client.post("/pieces", body=iter([b"a", b"bc"])).json() == [1, 2]


def test_a_large_inline_request_runs_again_in_a_thread(client: Client) -> None:
    assert client.get("/inline").json() == {"inline": True}
    assert client.get("/inline?large").json() == {"inline": False}


def test_async_handlers_run_on_a_loop_and_inline_ones_join_them(client: Client) -> None:
    assert client.get("/async").text == "test-client-loop"
    assert client.get("/inline").json() == {"inline": True}


def test_files_and_streams_are_read_to_their_end(client: Client) -> None:
    assert client.get("/file").body == Path(__file__).read_bytes()[4:8]
    assert client.get("/made").text == "piece by piece"
    assert client.get("/live").text == "as they come"


def test_head_has_the_headers_of_get_and_no_body(client: Client) -> None:
    reply = client.head("/plain")
    assert (reply.body, reply.header("content-length")) == (b"", str(len(client.get("/plain").body)))


def test_a_socket_talks_until_either_side_leaves(client: Client) -> None:
    with client.websocket("/socket/ann") as socket:
        socket.send("hi")
        assert socket.receive() == "ann: 'hi'"
        socket.send(b"raw")
        assert socket.receive() == "ann: b'raw'"
    with client.websocket("/socket/ann") as socket:
        socket.send("leave")
        with pytest.raises(Exception, match="the handler has ended"):
            socket.receive()


def test_a_socket_handlers_exception_reaches_the_test(client: Client) -> None:
    socket = client.websocket("/socket/ann")
    socket.send("break")
    with pytest.raises(LookupError, match="ann"):
        socket.close()


def test_a_socket_is_refused_with_the_answer_of_the_hooks(client: Client) -> None:
    with pytest.raises(SocketRefused) as refused:
        client.websocket("/socket/ann", headers={"authorization": "bad"})
    assert refused.value.response.status == 401
    with pytest.raises(SocketRefused) as refused:
        client.websocket("/nowhere")
    assert refused.value.response.status == 404
