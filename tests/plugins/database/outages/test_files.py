"""What clients of a served SQLite project see where its file is in trouble: 503, a few lines in the log, no restart."""

from __future__ import annotations

import http.client
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

pytestmark = pytest.mark.long

TABLE = """
create table items (id int primary key, body text);
create index on items (body);
grant select, insert on items to service_role;
"""


class Api:
    """The REST API of a served project, which has a thousand rows in its file and none in the log beside it."""

    def __init__(self, serve: Any, folder: Path) -> None:
        (folder / "migrations").mkdir(parents=True)
        (folder / "migrations" / "1_items.sql").write_text(TABLE)
        self.server = serve(folder)
        self.file = folder / "data" / "kernel.db"
        rows = [{"id": number, "body": "x" * 500} for number in range(1000)]
        assert self("POST", json.dumps(rows))[0] == 201
        apsw.Connection(str(self.file)).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def __call__(
        self, method: str, body: str | None = None, path: str = "/rest/v1/items?select=id&body=neq.y&limit=1"
    ) -> tuple[int, str | None, bytes]:
        """Return status, Retry-After and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            headers = {**self.server.headers, "content-type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("retry-after"), response.read()
        finally:
            connection.close()

    def refuses(self, method: str, body: str | None = None) -> str:
        """Return the SQLSTATE that a request is refused with, if that is in the way of an outage."""
        status, again, said = self(method, body)
        assert (status, again) == (503, "1"), said
        assert str(self.file.parent).encode() not in said
        told: str = json.loads(said)["code"]
        return told

    def warnings(self) -> list[str]:
        """Return what the log has beside requests."""
        lines = [json.loads(line) for line in self.server.log.splitlines()]
        return [line["event"] for line in lines if line["level"] != "info" and line["event"] != "request"]


@pytest.fixture
def api(serve: Any, tmp_path: Path) -> Api:
    return Api(serve, tmp_path / "project")


def test_a_disk_that_is_full_for_a_while(api: Api) -> None:
    process, limit = api.server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(process, limit, (4096, resource.RLIM_INFINITY))
    assert {api.refuses("POST", f'{{"id": {number}}}') for number in range(2000, 2010)} == {"53100"}
    assert api("GET")[0] == 200
    resource.prlimit(process, limit, before)
    assert api("POST", '{"id": 2000}')[0] == 201
    assert api("GET", path="/rest/v1/items?select=id&id=gte.2000")[2] == b'[{"id":2000}]'


def test_a_file_that_is_away_for_a_while(api: Api) -> None:
    away = api.file.with_name("away")
    api.file.rename(away)
    assert api.refuses("POST", '{"id": 2000}') == "58030"
    # Reads notice within a tenth of a second, and health is kept for a second.
    wait_until(lambda: api("GET")[0] != 200)
    assert api.refuses("GET") == "58030"
    wait_until(lambda: api("GET", path="/readyz")[0] == 503)
    assert not api.file.exists()
    away.rename(api.file)
    assert api("GET")[0] == 200
    assert api("POST", '{"id": 2000}')[0] == 201
    wait_until(lambda: api("GET", path="/readyz")[0] == 200)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cut_off(file: Path) -> None:
    os.truncate(file, 6000)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def overwrite_all(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\xff" * file.stat().st_size)


def overwrite_all_but_the_head(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (file.stat().st_size - 4096))


@pytest.mark.parametrize("spoil", [cut_off, empty, overwrite_all, overwrite_all_but_the_head])
def test_a_file_that_is_spoilt(api: Api, spoil: Callable[[Path], None]) -> None:
    """It stays so until a backup takes its place; the log is not flooded meanwhile."""
    spoil(api.file)
    time.sleep(1)
    told = [api.refuses("POST", '{"id": 2000}'), api.refuses("GET")]
    assert told == ["XX001", "XX001"]
    time.sleep(1)
    warnings = api.warnings()
    assert warnings.count("request failed") == 2
    assert warnings.count("reading signals fails; trying again until it works") <= 1
    assert len(warnings) <= 3
