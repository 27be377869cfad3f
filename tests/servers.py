"""Waiting for `kernel serve`: what the tests' own servers and those of the measurements have in common."""

from __future__ import annotations

import http.client
import socket
import subprocess
from time import monotonic


class NotReady(Exception):
    """A server that has ended, or has not come to answer in time; the message says which."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], port: int, seconds: float = 30.0) -> None:
    """Ask a server for its readiness until it says yes; raises `NotReady`."""
    end = monotonic() + seconds
    while not _is_ready(port):
        try:
            code = process.wait(0.02)
        except subprocess.TimeoutExpired:
            if monotonic() > end:
                raise NotReady(f"not ready after {seconds} s") from None
        else:
            raise NotReady(f"ended with {code} before it was ready")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
