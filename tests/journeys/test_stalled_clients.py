"""Clients that stop reading or sending, beside a slow query: all others are answered meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]

CLIENTS = 50
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(
    module_project: Path, serving: Callable[..., Any], wire: Callable[..., Any], source: dict[str, Rows]
) -> Iterator[Any]:
    """A server whose table of languages fills about a megabyte of JSON."""
    rows = source["languages"]
    with serving(module_project, kernel__body_timeout_seconds="60", kernel__grace_seconds="1") as server:
        with wire(server, timeout=30.0) as connection:
            for start in range(0, len(rows), 2_000):
                body = json.dumps(rows[start : start + 2_000]).encode()
                assert connection.request("POST", "/rest/v1/languages", JSON, body).status == 201
        yield server


@pytest.mark.long
def test_fifty_stalled_downloads_and_uploads_and_a_slow_query_leave_the_others_their_answers(
    server: Any, wire: Callable[..., Any]
) -> None:
    patterns = "&".join(f"name=not.ilike.*no*such*{number}*" for number in range(100))
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            download = stack.enter_context(server.connect(receive_buffer=4096))
            upload = stack.enter_context(server.connect())
            download.sendall(head(server, "GET", ""))
            upload.sendall(head(server, "POST", "content-length: 100000\r\n") + b"[" * 100)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        slow_connection = stack.enter_context(wire(server, timeout=30.0))
        slow = pool.submit(slow_connection.request, "GET", f"/rest/v1/languages?select=id&{patterns}")
        with wire(server, timeout=5.0) as other:
            for number in range(50):
                reply = other.request("GET", "/rest/v1/languages?select=id&order=id&limit=3")
                assert reply.json() == [{"id": 1}, {"id": 2}, {"id": 3}]
                row = {"alpha_3": f"{number:03}", "numeric_code": f"{number:03}", "name": "Q"}
                assert (
                    other.request("POST", "/rest/v1/currencies", JSON, json.dumps(row).encode()).status == 201
                )
        reply = slow.result()
        assert reply.status == 200
        assert len(reply.json()) > 7_000


def head(server: Any, method: str, line: str) -> bytes:
    named = "".join(f"{name}: {value}\r\n" for name, value in (server.headers | JSON).items())
    return f"{method} /rest/v1/languages HTTP/1.1\r\nhost: x\r\n{named}{line}\r\n".encode()
