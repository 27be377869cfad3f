"""A server that only reads: one that stands by, or has become one while we were at work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.errors import describe
from kernel.identity import Identity
from plugins.database.postgresql.database import PostgresDatabase

ANYONE = Identity(role="anon")
TABLE = """
create table t (n int primary key);
grant select, insert on t to anon, service_role;
create function writes() returns int language sql as 'insert into t values (99) returning n';
grant execute on function writes to service_role;
"""


class Standby:
    """Makes a server one that stands by, and the primary again."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def begin(self) -> None:
        self._server.stop("fast")
        Path(self._server.data, "standby.signal").touch()
        self._server.start()

    def end(self) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            assert connection.execute("select pg_promote()").fetchone() == (True,)


@pytest.fixture
def standby(server: Any) -> Any:
    made = Standby(server)
    yield made
    Path(server.data, "standby.signal").unlink(missing_ok=True)


@pytest.mark.parametrize("identity", [None, ANYONE], ids=["alone", "for a caller"])
def test_it_answers_refuses_writes_as_the_server_s_fault_and_writes_once_it_is_promoted(
    server: Any, standby: Standby, open_at: Callable[..., PostgresDatabase], identity: Identity | None
) -> None:
    database = open_at(server.url(server.make()))
    database.prepare()
    with database.schema_transaction() as transaction:
        transaction.script(TABLE)
    assert database.catalogue.table("t") is not None
    standby.begin()

    assert database.query("select n from t", identity=identity) == []
    for begin in (lambda: database.transaction(identity), database.schema_transaction):
        with pytest.raises(DatabaseUnavailable) as raised, begin():
            pass
        assert (raised.value.sqlstate, raised.value.message) == ("25006", "the database server is read-only")
        assert "promote this one: [database] url" in describe(raised.value)
    # What only a reading transaction forbids stays the caller's mistake.
    with pytest.raises(DatabaseError) as refused:
        database.query("insert into t values (1) returning n")
    assert not isinstance(refused.value, DatabaseUnavailable)

    standby.end()
    with database.transaction(identity) as transaction:
        transaction.execute("insert into t values (1)")
    assert database.query("select n from t", identity=identity) == [(1,)]


@pytest.mark.long
def test_a_project_is_served_from_it(serve: Any, server: Any, standby: Standby, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_t.sql").write_text(TABLE)
    url = server.url(server.make())
    (tmp_path / "kernel.toml").write_text(f'[database]\nurl = "{url}"\n')
    line = [sys.executable, "-m", "kernel", "--project", str(tmp_path)]
    assert subprocess.run([*line, "migrate", "up"], capture_output=True, timeout=60).returncode == 0
    standby.begin()

    served = serve(tmp_path)

    def api(method: str, path: str, body: str | None = None) -> tuple[int, str | None, Any]:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        try:
            headers = {**served.headers, "content-type": "application/json"}
            connection.request(method, f"/rest/v1/{path}", body, headers)
            response = connection.getresponse()
            said = response.read()
            return response.status, response.getheader("retry-after"), json.loads(said or b"null")
        finally:
            connection.close()

    assert api("GET", "t?select=n") == (200, None, [])
    status, again, said = api("POST", "t", '{"n": 1}')
    assert (status, again, said["code"]) == (503, "1", "25006")
    status, again, said = api("GET", "rpc/writes")
    assert (status, said["code"]) == (405, "25006")  # a mistake of the client's, wherever it runs
    assert api("POST", "rpc/writes")[0] == 503

    found = json.loads(subprocess.run([*line, "doctor"], capture_output=True, timeout=60).stdout)
    (database,) = (one for one in found if one["about"] == "database")
    assert (database["state"], "promote this one" in database["remedy"]) == ("problem", True)

    standby.end()
    assert api("POST", "t", '{"n": 1}')[0] == 201
    assert api("GET", "t?select=n") == (200, None, [{"n": 1}])
