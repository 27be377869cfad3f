"""HTTP through the gateway: real connections, whole and broken, to one running server."""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

MEGABYTE = 1 << 20
# What a transfer of 100 MB or more may add to the largest memory a server has had: more than the buffers take on a
# busy machine, and much less than the body.
ALLOWANCE_KB = 50_000


@pytest.mark.parametrize(
    ("path", "thread"), [("/plain", "kernel-handler"), ("/inline", "MainThread"), ("/async", "MainThread")]
)
def test_a_handler_runs_where_its_kind_belongs(server, path, thread):
    assert server.json(path)["thread"].startswith(thread)


def test_work_too_long_for_the_loop_runs_in_threads_that_step_back_for_it(server):
    answer = server.json("/long")
    assert answer["thread"].startswith("kernel-long")
    assert answer["stepped_back"] == (10 if sys.platform == "linux" else 0)


def test_work_too_long_for_the_loop_takes_no_plain_handlers_thread(run):
    server = run(kernel__threads="1")
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.get, "/long?0.7")
        server.wait_for("long began")
        assert server.get("/plain")[0] == 200
        assert not long.done()
        assert long.result()[0] == 200
    assert server.stop() == 0


def test_a_request_carries_what_the_client_sent(server):
    status, _, body = server.get("/headers?a=1&a=%C3%A4&b", x_thing="yes")
    seen = json.loads(body)
    assert status == 200
    assert seen["path"] == "/headers"
    assert seen["query"] == [["a", "1"], ["a", "ä"], ["b", ""]]
    assert seen["host"] == f"127.0.0.1:{server.port}"
    assert seen["scheme"] == "http"
    assert seen["peer"] == "127.0.0.1"
    assert ["x-thing", "yes"] in seen["all"]


@pytest.mark.parametrize("name", ["authorization", "apikey", "host"])
@pytest.mark.parametrize(
    "upgrade", ["", "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"]
)
def test_two_lines_of_a_header_that_decides_are_refused(server, name, upgrade):
    lines = f"{upgrade}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nhost: a\r\n"
    with server.connect() as client:
        path = "/echo" if upgrade else "/plain"
        client.sendall(f"GET {path} HTTP/1.1\r\n{lines}{name}: a\r\n{name}: b\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", ["/a%00b", "/a%ffb", "/a/../b", "/a/%2e%2e/b", "/a%5cb"])
def test_a_path_with_tricks_is_refused(server, path):
    assert server.get(path)[0] == 400


def test_an_exception_is_a_500_that_names_the_log_line_and_nothing_else(server):
    status, headers, body = server.get("/fail")
    problem = json.loads(body)
    assert status == 500
    assert headers["content-type"] == "application/problem+json"
    assert b"secret" not in body
    assert problem["error_id"]
    assert "secret text" in server.log


@pytest.mark.parametrize("status", [-1, 0, 99, 101, 600, 1000, 70_000])
def test_a_status_that_is_none_is_an_error_and_no_end_of_the_server(server, status):
    assert server.get(f"/status?{status}")[0] == 500
    assert server.get("/status?204")[0] == 204


def test_a_header_that_cannot_be_sent_is_an_error(server):
    status, _, body = server.get("/header?surrogate")
    assert status == 500
    assert json.loads(body)["error_id"]
    assert "the answer could not be sent" in server.log


def test_a_header_cannot_hold_another_line(server):
    assert "x-b" not in server.get("/header?lines")[1]


def test_head_has_the_headers_and_no_body(server):
    _, whole, body = server.get("/plain")
    status, headers, none = server.get("/plain", "HEAD")
    assert status == 200
    assert none == b""
    assert headers["content-type"] == whole["content-type"]
    assert headers["content-length"] == whole["content-length"] == str(len(body))


def test_head_of_a_file_tells_its_length(server):
    size = (server.project / "wire.py").stat().st_size
    status, headers, body = server.get("/file", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(size), b"")


def test_one_connection_serves_many_requests(server):
    connection = server.http()
    connection.connect()
    opened = connection.sock
    for method, path, body in [
        ("GET", "/plain", None), ("POST", "/bytes", b"x" * 5000), ("POST", "/spooled", b"x" * 5000),
        ("HEAD", "/file", None), ("GET", "/few", None), ("GET", "/nowhere", None), ("GET", "/file", None),
    ]:  # fmt: skip
        connection.request(method, path, body)
        connection.getresponse().read()
        assert connection.sock is opened, path
    connection.close()


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces"])
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_body_comes_whole_with_a_length_and_in_chunks(server, path, size):
    body = b"x" * size
    assert server.get(path, "POST", body)[2] == str(size).encode()
    chunks = (body[place : place + 10_000] for place in range(0, size, 10_000))
    assert server.get(path, "POST", chunks, transfer_encoding="chunked")[2] == str(size).encode()


def broken(path: str, *, chunked: bool) -> bytes:
    length = "transfer-encoding: chunked" if chunked else "content-length: 1000"
    body = "64\r\n" + "x" * 100 + "\r\n" if chunked else "x" * 100
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{length}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("path", ["/bytes", "/spooled", "/pieces", "/item"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_breaks_off_is_refused_and_reaches_no_handler(server, path, chunked):
    before = server.notes
    with server.connect() as client:
        client.sendall(broken(path, chunked=chunked))
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"broke off after 100 bytes" in answer
    assert server.notes == before


def test_a_declared_length_over_the_limit_is_refused_unread(server):
    with server.connect() as client:
        client.sendall(b"POST /bytes HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/bytes", 413), ("/plain", 405)])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_refusal_reaches_a_client_that_is_still_sending(server, path, status, chunked):
    headers = {"transfer_encoding": "chunked"} if chunked else {"content_length": str(3 * MEGABYTE)}
    for _ in range(5):
        pieces = (b"x" * 100_000 for _ in range(30)) if chunked else b"x" * 3 * MEGABYTE
        assert server.get(path, "POST", pieces, **headers)[0] == status


def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(server):
    with server.connect() as client:
        client.sendall(b"POST /bytes HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(b"%x\r\n%s\r\n" % (MEGABYTE + 1, b"x" * (MEGABYTE + 1)))
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_bad_json_and_a_wrong_shape_are_told_apart(server):
    assert server.get("/item", "POST", b"{", content_type="application/json")[0] == 400
    assert server.get("/item", "POST", b"{}", content_type="application/json")[0] == 422
    assert server.get("/item", "POST", b'{"name":"a"}', content_type="text/plain")[0] == 415
    assert server.get("/item", "POST", b'{"name":"a"}', content_type="application/json")[0] == 200


def test_a_file_is_sent_whole_or_in_part(server):
    content = (server.project / "wire.py").read_bytes()
    assert server.get("/file")[2] == content
    assert server.get("/file?10-20")[2] == content[10:20]
    assert server.get("/file?10-10")[2] == b""


@pytest.mark.parametrize("path", ["/few", "/few-inline"])
def test_a_generator_is_sent_with_its_length(server, path):
    _, headers, body = server.get(path)
    assert (headers["content-length"], body) == ("2", b"ab")


@pytest.mark.parametrize("path", ["/breaks-at-once", "/breaks-late"])
def test_a_generator_that_fails_is_answered_as_an_error_however_late_and_done_once(server, path):
    status, _, body = server.get(path)
    assert status == 500
    assert b"secret" not in body
    assert [note for note in server.notes if note.startswith(path)] == [f"{path} done 500"]


def test_a_live_stream_comes_piece_by_piece_and_ends_when_its_client_goes(server):
    with server.connect() as client:
        client.sendall(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n")
        seen = b""
        while seen.count(b"tick") < 3:
            seen += client.recv(4096)
        assert "stream closed" not in server.notes
    server.wait_for("stream closed")


def test_uploads_of_100_mb_stay_out_of_memory(server):
    server.get("/spooled", "POST", b"x" * MEGABYTE)
    before = server.peak_kilobytes()
    for path in ("/spooled", "/pieces"):
        pieces = (b"x" * MEGABYTE for _ in range(100))
        assert server.get(path, "POST", pieces, content_length=str(100 * MEGABYTE))[2] == b"104857600"
    assert server.peak_kilobytes() - before < ALLOWANCE_KB


def test_a_download_of_100_mb_that_nobody_reads_stays_out_of_memory(server):
    server.get("/many?16")
    before = server.peak_kilobytes()
    stalled = server.connect()
    stalled.sendall(b"GET /many HTTP/1.1\r\nhost: a\r\n\r\n")
    assert stalled.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(server.get("/many")[2]) == 100 * MEGABYTE
    stalled.close()
    assert server.peak_kilobytes() - before < ALLOWANCE_KB


@pytest.mark.parametrize(
    ("path", "memory"), [("/whole", "peak_kilobytes"), ("/whole-inline", "held_kilobytes")]
)
def test_large_bytes_that_fifty_clients_do_not_read_stay_out_of_memory(run, path, memory):
    """The event loop may make them all before the first is on disk; threads may not."""
    server = run(kernel__grace_seconds="0.2")
    size = 9 * MEGABYTE
    for _ in range(5):
        assert len(server.get(f"{path}?{size}")[2]) == size
    before = getattr(server, memory)()
    with ExitStack() as stack:
        stalled = [stack.enter_context(server.connect()) for _ in range(50)]
        for client in stalled:
            client.sendall(f"GET {path}?{size} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        for client in stalled:
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        status, headers, body = server.get(f"{path}?{size}")
        assert (status, headers["content-length"], len(body)) == (200, str(size), size)
        assert getattr(server, memory)() - before < 2 * ALLOWANCE_KB


def test_a_live_stream_waits_for_a_client_that_does_not_read(server):
    server.get("/plain")
    before = server.peak_kilobytes()
    with server.connect() as client:
        client.sendall(b"GET /flood HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        for _ in range(50):
            server.get("/plain")
        assert "flood over" not in server.notes
        received = 0
        while piece := client.recv(1 << 20):
            received += len(piece)
    assert received > 200 * MEGABYTE
    assert "flood over" in server.notes
    assert server.peak_kilobytes() - before < ALLOWANCE_KB


def test_spooled_bodies_leave_nothing_on_disk(server):
    folder: Path = server.project / "data" / "tmp"
    assert server.get("/spooled", "POST", b"x" * MEGABYTE)[0] == 200
    assert server.get("/many?16")[0] == 200
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_body_that_stalls_is_refused_and_holds_nobody_up(run):
    server = run(kernel__body_timeout_seconds="0.3", kernel__threads="1")
    stalled = [server.connect() for _ in range(20)]
    for client in stalled:
        client.sendall(b"POST /spooled HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
    assert server.get("/plain")[0] == 200
    for client in stalled:
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        client.close()
    assert server.stop() == 0
