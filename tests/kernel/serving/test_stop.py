"""How a serving process ends: by signals, and by a boot that cannot succeed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once_with_code_0(run, number):
    server = run()
    kept = server.http()
    kept.request("GET", "/plain")
    kept.getresponse().read()
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < 2
    assert server.notes == ["stopped"]
    assert "Traceback" not in server.log
    kept.close()


@pytest.mark.parametrize("path", ["/slow?0.7", "/slow-on-loop?0.7"])
def test_a_request_in_flight_finishes_while_new_ones_are_turned_away(run, path):
    server = run()
    kept = server.http()
    kept.request("GET", "/plain")
    kept.getresponse().read()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.get, path)
        server.wait_for("slow began")
        server.popen.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:  # until the signal has reached it
            kept.request("GET", "/plain")
            refused = kept.getresponse()
            refused.read()
            status = refused.status
        assert not slow.done()
        assert status == 503
        assert refused.headers["connection"] == "close"
        assert refused.headers["retry-after"]
        assert server.get("/plain")[0] == 503
        assert slow.result()[0] == 200
    assert server.popen.wait(5) == 0
    assert server.notes[-1] == "stopped"


def test_a_request_that_outlives_the_grace_period_does_not_hold_the_server(run):
    server = run(kernel__grace_seconds="0.3")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.get, "/slow?4")
        server.wait_for("slow began")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 2
        with suppress(OSError):  # the process may end before the answer is out
            assert slow.result()[0] == 500
    assert server.notes == ["slow began", "stopped"]


def test_a_download_that_nobody_reads_does_not_outlive_the_grace_period(run):
    server = run(kernel__grace_seconds="0.3")
    with server.connect() as stalled:
        stalled.sendall(b"GET /many HTTP/1.1\r\nhost: a\r\n\r\n")
        stalled.recv(100)
        began = time.monotonic()
        assert server.stop() == 0
        assert 0.3 < time.monotonic() - began < 2


def test_an_upload_in_flight_finishes(run):
    server = run()
    with server.connect() as client:
        client.sendall(b"POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabcde")
        assert server.get("/plain")[0] == 200
        server.popen.send_signal(signal.SIGTERM)
        client.sendall(b"fghij")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.popen.wait(5) == 0
    assert "pieces 10" in server.notes


def test_a_live_stream_is_ended(run):
    server = run()
    with server.connect() as client:
        client.sendall(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n")
        client.recv(4096)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 2
        rest = b""
        while piece := client.recv(4096):
            rest += piece
    assert rest.endswith(b"0\r\n\r\n")
    assert server.notes == ["stream closed", "stopped"]


@pytest.mark.parametrize("path", ["/echo", "/push"])
def test_sockets_are_told_and_closed(run, path):
    server = run()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None)) for _ in range(8)
        ]
        for client in clients:
            if path == "/echo":
                client.send("a")
            client.recv(5)
        began = time.monotonic()
        server.popen.send_signal(signal.SIGTERM)
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(5)
            assert closed.value.rcvd is not None, "without a close frame"
    assert server.popen.wait(5) == 0
    assert time.monotonic() - began < 3
    assert server.notes == [f"{path[1:]} ended"] * 8 + ["stopped"]


def test_a_second_signal_stops_at_once(run):
    server = run()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.get, "/slow?3")
        server.wait_for("slow began")
        server.popen.send_signal(signal.SIGTERM)
        while server.get("/plain")[0] != 503:
            pass
        began = time.monotonic()
        assert server.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 1
        with pytest.raises(OSError):
            slow.result()


def refusal(project, *arguments, **environ):
    """Run `kernel serve` where it cannot start; return its one line."""
    done = subprocess.run(
        [sys.executable, "-m", "kernel", "serve", "--port", "0", *arguments],
        cwd=project, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].lower().startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("option", [0, socket.SO_REUSEPORT], ids=["plain", "shared"])
def test_a_port_in_use_is_one_line(project, option):
    with socket.socket() as other:
        if option:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for workers in ("1", "2"):
            line = refusal(project, "--port", str(port), "--workers", workers)
            assert f"port {port} on 127.0.0.1 is in use" in line


def test_a_host_that_is_not_ours_is_one_line(project):
    assert "192.0.2.1" in refusal(project, "--host", "192.0.2.1")
    assert "no.such.invalid" in refusal(project, "--host", "no.such.invalid")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_data_folder_that_cannot_be_written_is_one_line(project, workers):
    (project / "data").write_text("a file is in its place")
    assert f"{project / 'data'}" in refusal(project, "--workers", workers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_plugin_that_fails_to_start_is_one_line(project, workers):
    source = project / "wire.py"
    source.write_text(
        source.read_text()
        + '\n    @hookimpl\n    def kernel_start(self):\n        raise ValueError("no luck")\n'
    )
    assert "plugin 'wire' failed in kernel_start: ValueError: no luck" in refusal(
        project, "--workers", workers
    )


def test_a_broken_kernel_toml_is_one_line(project):
    (project / "kernel.toml").write_text("[plugins\n")
    assert "not valid TOML" in refusal(project)


def test_a_signal_during_the_boot_stops_it(project, run):
    source = project / "wire.py"
    wait = (
        '\n    @hookimpl\n    def kernel_start(self):\n        self.note("booting")\n        time.sleep(5)\n'
    )
    source.write_text(source.read_text() + wait)
    server = run(ready=False)
    server.wait_for("booting")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2
