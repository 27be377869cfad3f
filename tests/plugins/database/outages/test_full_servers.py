"""A PostgreSQL server whose disk is full: that is said, nothing is half done, and all goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import DatabaseUnavailable
from kernel.errors import describe
from kernel.identity import Identity
from plugins.database.postgresql.database import PostgresDatabase

TABLE = """
create table t (n int primary key, body text);
grant select, insert on t to anon, service_role;
"""


@pytest.mark.parametrize("identity", [None, Identity(role="anon")], ids=["alone", "for a caller"])
def test_a_disk_that_is_full_for_a_while(
    small_disk: Any, open_at: Callable[..., PostgresDatabase], identity: Identity | None
) -> None:
    published: list[Any] = []
    database = open_at(small_disk.url, publish=published.append)
    database.prepare()
    with database.schema_transaction() as transaction:
        transaction.script(TABLE)

    def write(first: int) -> None:
        with database.transaction(identity) as transaction:
            transaction.execute(
                "insert into t select i, string_agg(md5((i * 100 + j)::text), '') from generate_series(1, 60) j,"
                " generate_series(:first::int, :first::int + 99) i group by i",
                {"first": first},
            )
            transaction.publish("written")

    def change() -> None:
        with database.schema_transaction() as transaction:
            transaction.script("create table u as select n, body from t, generate_series(1, 20)")

    write(0)
    small_disk.fill()
    for attempt in (write, write, lambda _: change()):
        with pytest.raises(DatabaseUnavailable) as raised:
            attempt(100)
        assert (raised.value.sqlstate, raised.value.message) == (
            "53100",
            "could not write: the disk is full",
        )
        assert "free some of the disk that the database server's files are on" in describe(raised.value)
        assert "could not extend file" in describe(raised.value)
    assert database.query("select count(*) from t", identity=identity) == [(100,)]
    assert published == ["written"]

    small_disk.free()
    write(100)
    change()
    assert database.query("select count(*) from t", identity=identity) == [(200,)]
    assert set(database.catalogue.tables) == {("public", "t"), ("public", "u")}


@pytest.mark.long
def test_what_clients_see(serve: Any, small_disk: Any, tmp_path: Path) -> None:
    import http.client

    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_t.sql").write_text(TABLE)
    served = serve(tmp_path, database__url=small_disk.url)

    def api(method: str, body: str | None = None) -> tuple[int, str | None, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        try:
            headers = {**served.headers, "content-type": "application/json"}
            connection.request(method, "/rest/v1/t?select=n", body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("retry-after"), response.read()
        finally:
            connection.close()

    rows = json.dumps([{"n": n, "body": os.urandom(900).hex()} for n in range(200)])
    small_disk.fill()
    for _ in range(2):
        status, again, said = api("POST", rows)
        assert (status, again) == (503, "1")
        assert json.loads(said) == {
            "code": "53100", "details": None, "hint": None, "message": "could not write: the disk is full",
        }  # fmt: skip
    assert api("GET") == (200, None, b"[]")
    small_disk.free()
    assert api("POST", rows)[0] == 201


@pytest.mark.long
def test_commands(small_disk: Any, tmp_path: Path, make_postgresql_database: Callable[[], str]) -> None:
    """Each says so in one line, changes nothing, and does its work once there is room."""
    elsewhere, project = make_postgresql_database(), tmp_path / "project"
    (project / "migrations").mkdir(parents=True)
    (project / "migrations" / "1_t.sql").write_text(
        f"{TABLE} insert into t select i, repeat(md5(i::text), 300) from generate_series(1, 300) i;"
    )

    def kernel(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kernel", "--project", str(project), *arguments],
            env={**os.environ, "KERNEL_DATABASE__URL": url},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    assert kernel(elsewhere, "migrate", "up").returncode == 0
    backup = str(tmp_path / "a.backup")
    assert kernel(elsewhere, "backup", backup).returncode == 0
    commands = [
        (small_disk.url, "migrate", "up"),
        (small_disk.url, "restore", "--yes", backup),
        (elsewhere, "db", "copy", "--to", small_disk.url, "--yes"),
    ]
    for url, *arguments in commands:
        small_disk.run(
            b"drop schema public cascade; create schema public; create table ballast (filler text)"
        )
        small_disk.run(b"drop schema if exists kernel cascade; drop schema if exists auth cascade")
        small_disk.fill()
        ran = kernel(url, *arguments)
        said = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
        assert (ran.returncode, len(said)) == (1, 1), ran.stderr
        assert "No space left" in said[0] or "disk is full" in said[0], said
        assert "free some of" in said[0], said
        with pytest.raises(Exception, match="does not exist"):
            small_disk.run(b"select from t")
        small_disk.free()
        ran = kernel(url, *arguments)
        assert ran.returncode == 0, ran.stderr
        small_disk.run(b"do $$ begin assert (select count(*) from t) = 300; end $$")
