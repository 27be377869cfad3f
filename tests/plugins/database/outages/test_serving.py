"""What clients of a served project see of an outage: 503 and when to come again, and the same process all the time."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.long

TABLE = """
create table items (id int primary key);
grant select, insert on items to service_role;
"""


class Api:
    """The REST API of a served project."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def __call__(self, method: str, body: str | None = None) -> tuple[int, str | None, bytes]:
        """Return status, Retry-After and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        try:
            headers = {**self._server.headers, "content-type": "application/json"}
            connection.request(method, "/rest/v1/items?select=id", body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("retry-after"), response.read()
        finally:
            connection.close()


def start(serve: Any, folder: Path, url: str, **settings: str) -> Api:
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations" / "1_items.sql").write_text(TABLE)
    return Api(serve(folder, database__url=url, **settings))


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_of_the_database(serve: Any, server: Any, tmp_path: Path, how: str) -> None:
    api = start(serve, tmp_path / "project", server.url(server.make()))
    assert api("POST", '{"id": 1}')[0] == 201
    server.stop(how)
    for method, body in (("GET", None), ("POST", '{"id": 2}')):
        status, again, said = api(method, body)
        assert (status, again) == (503, "1"), said
        assert str(server.port).encode() not in said
    server.start()
    assert api("GET") == (200, None, b'[{"id":1}]')
    assert api("POST", '{"id": 2}')[0] == 201


def test_a_database_that_falls_silent(serve: Any, server: Any, proxy: Any, tmp_path: Path) -> None:
    url = server.url(server.make(), proxy.port) + "?connect_timeout=2"
    api = start(serve, tmp_path / "project", url, database__statement_timeout="1", database__busy_timeout="1")
    assert api("GET")[0] == 200
    proxy.stall()
    begun = monotonic()
    status, again, said = api("GET")
    assert (status, again) == (503, "1"), said
    assert monotonic() - begun < 15
    proxy.resume()
    assert api("GET")[0] == 200


def test_more_requests_than_connections(serve: Any, server: Any, tmp_path: Path) -> None:
    name = server.make()
    limits = {
        "database__connections": "1",
        "database__busy_timeout": "0.5",
        "database__statement_timeout": "20",
    }
    api = start(serve, tmp_path / "project", server.url(name), **limits)
    with psycopg.connect(server.url(name)) as locking:
        locking.execute("lock table items in access exclusive mode")
        answers: list[Any] = []
        requests = [threading.Thread(target=lambda: answers.append(api("GET"))) for _ in range(4)]
        for request in requests:
            request.start()
        for request in requests:
            request.join(30)
    assert {answer[:2] for answer in answers} == {(503, "1")}
    assert any(b"53300" in said for *_, said in answers), answers
    assert api("GET") == (200, None, b"[]")
