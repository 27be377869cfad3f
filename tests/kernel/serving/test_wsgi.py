"""The WSGI application under three servers, each a process of its own."""

from __future__ import annotations

import json
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

from kernel import Plugin, Request, Response, Route, hookimpl
from kernel.serving.wsgi import make_application

APPLICATION = "kernel.serving.wsgi:application"
BIN = Path(sys.executable).parent
COMMANDS = {
    "gunicorn": (
        str(BIN / "gunicorn"), "--bind", "127.0.0.1:{port}", "--threads", "4", "--no-control-socket", APPLICATION,
    ),
    "gunicorn-preload": (
        str(BIN / "gunicorn"), "--bind", "127.0.0.1:{port}", "--preload", "--no-control-socket", APPLICATION,
    ),
    "waitress": (str(BIN / "waitress-serve"), "--listen", "127.0.0.1:{port}", APPLICATION),
    "granian": (
        str(BIN / "granian"), "--interface", "wsgi", "--blocking-threads", "4", "--no-log", "--port", "{port}",
        APPLICATION,
    ),
}  # fmt: skip
MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=COMMANDS)
def wsgi(request, tmp_path_factory, start_in):
    project = tmp_path_factory.mktemp("wsgi") / "project"
    with start_in(project) as start:
        server = start(*COMMANDS[request.param])
        server.kind = request.param
        yield server
        # waitress leaves SIGTERM to the system, which ends the process on the spot.
        server.stop(signal.SIGINT if request.param == "waitress" else signal.SIGTERM)
        assert "stopped" in server.notes, server.log


def test_plain_async_and_inline_handlers_answer(wsgi):
    pids = {wsgi.json(path)["pid"] for path in ("/plain", "/async", "/inline")}
    assert len(pids) == 1
    assert wsgi.json("/async")["thread"] == "kernel-loop"


def test_a_request_carries_what_the_client_sent(wsgi):
    status, _, body = wsgi.get("/headers?a=%C3%A4", x_thing="yes")
    seen = json.loads(body)
    assert status == 200
    assert seen["query"] == [["a", "ä"]]
    assert seen["host"] == f"127.0.0.1:{wsgi.port}"
    assert ["x-thing", "yes"] in seen["all"]


@pytest.mark.parametrize("path", ["/a%00b", "/a%ffb", "/a/%2e%2e/b"])
def test_a_path_with_tricks_is_refused(wsgi, path):
    assert wsgi.get(path)[0] == 400


def test_a_path_beyond_ascii_is_decoded(wsgi):
    assert "/ä" in json.loads(wsgi.get("/%C3%A4")[2])["detail"]


def test_head_has_the_headers_and_no_body(wsgi):
    length = len(wsgi.get("/few")[2])
    status, headers, body = wsgi.get("/plain", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > length


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
def test_a_body_with_a_length_comes_whole(wsgi, path):
    for size in (0, 1, 300_000):
        assert wsgi.get(path, "POST", b"x" * size)[2] == str(size).encode()


def test_a_chunked_body_comes_whole_or_is_refused_for_want_of_a_length(wsgi):
    status, _, body = wsgi.get("/spooled", "POST", iter([b"x" * 1000, b"y"]), transfer_encoding="chunked")
    if wsgi.kind == "granian":
        assert status == 411
    else:
        assert (status, body) == (200, b"1001")


@pytest.mark.parametrize("head", ["content-length: 1000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n64\r\n"])
@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
def test_a_body_that_breaks_off_reaches_no_handler(wsgi, path, head):
    before = wsgi.notes
    with wsgi.connect() as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nhost: a\r\n{head}".encode() + b"x" * 50)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert wsgi.notes == before


def test_a_body_over_the_limit_is_refused(wsgi):
    with wsgi.connect() as client:
        client.sendall(b"POST /bytes HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n")
        # Some servers ask the application at once, and close on a client that goes on sending; waitress reads the
        # body first.
        answered, _, _ = select.select([client], [], [], 3)
        if not answered:
            client.sendall(b"x" * 1_048_577)
        assert b" 413 " in client.recv(65536)


def test_a_file_is_sent_whole_and_in_part(wsgi):
    content = (wsgi.project / "wire.py").read_bytes()
    before = wsgi.notes.count("lent file back")
    for query, part in (("", content), ("?100-", content[100:]), ("?10-20", content[10:20]), ("?5-5", b"")):
        status, headers, body = wsgi.get(f"/file{query}")
        assert (status, body) == (200, part)
        assert headers["content-length"] == str(len(part))
    assert wsgi.get("/file", "HEAD")[2] == b""
    wsgi.wait_for("lent file back", before + 5)


def test_a_generator_streams(wsgi):
    assert wsgi.get("/few")[2] == b"ab"
    assert len(wsgi.get("/many?160")[2]) == 10 * MEGABYTE


def test_a_generator_that_fails_at_once_is_an_error_and_done_once(wsgi):
    status, _, body = wsgi.get("/breaks-at-once")
    assert status == 500
    assert b"secret" not in body
    assert [note for note in wsgi.notes if note.startswith("/breaks")] == ["/breaks-at-once done 500"]


def test_a_live_stream_comes_piece_by_piece_and_is_closed(wsgi):
    before = wsgi.notes.count("stream closed")
    with wsgi.connect() as client:
        client.sendall(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n")
        seen = b""
        while seen.count(b"tick") < 3:
            seen += client.recv(4096)
    if before == 0:
        wsgi.wait_for("stream closed")


def test_memory_stays_bounded(wsgi):
    wsgi.get("/spooled", "POST", b"x" * MEGABYTE)
    pid = wsgi.json("/plain")["pid"]
    before = wsgi.peak_kilobytes(pid)
    pieces = (b"x" * MEGABYTE for _ in range(100))
    assert wsgi.get("/spooled", "POST", pieces, content_length=str(100 * MEGABYTE))[2] == b"104857600"
    assert len(wsgi.get("/many?1600")[2]) == 100 * MEGABYTE
    # Of which some 30,000 may be libraries that the server has loaded meanwhile.
    assert wsgi.peak_kilobytes(pid) - before < 60_000


def test_a_boot_that_fails_names_its_cause(run):
    (run.project / "kernel.toml").write_text("[wrong]\n")
    server = run(*COMMANDS["gunicorn"], ready=False)
    assert server.popen.wait(10) != 0
    assert "[wrong] belongs to no installed plugin" in server.log


def test_another_folder_is_named_by_the_environment(project, tmp_path, start_in):
    elsewhere = tmp_path / "elsewhere"
    with start_in(elsewhere) as start:
        (elsewhere / "kernel.toml").write_text("broken")
        server = start(*COMMANDS["waitress"], project=str(project))
        assert server.get("/plain")[0] == 200


def test_a_body_whose_reading_fails_is_an_error_and_done_once(kernel_factory):
    done: list[int] = []

    class Input:
        def read(self, size: int) -> bytes:
            raise MemoryError("secret text")

    class TakesPlugin(Plugin):
        name = "takes"

        @hookimpl
        def kernel_routes(self):
            return [Route("POST", "/take", self.take)]

        def take(self, request: Request, body: bytes) -> None:
            """Never called."""

        @hookimpl
        def kernel_request_done(self, response: Response) -> None:
            done.append(response.status)

    with kernel_factory(plugins=[TakesPlugin]) as kernel:
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/take", "CONTENT_LENGTH": "3", "SERVER_NAME": "here",
            "wsgi.url_scheme": "http", "wsgi.input": Input(),
        }  # fmt: skip
        started: list[str] = []
        body = b"".join(make_application(kernel)(environ, lambda status, headers: started.append(status)))
    assert started == ["500 Internal Server Error"]
    assert b"secret" not in body
    assert done == [500]
