"""What PostgreSQL alone can do to us: servers that go, connections that run out, statements that wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from kernel.contracts.database import Compiled, DatabaseError, DatabaseUnavailable
from kernel.events import Event
from plugins.database.postgresql.connections import Connections, Limits
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.signals.postgresql import PostgresSignals

LIMITS = Limits(connections=3, statement_timeout=10.0, lock_timeout=5.0)
KILL_OTHERS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


def ignored(_: Event) -> None:
    """Publish nothing."""


@pytest.fixture
def make(postgresql_url: str) -> Iterator[Callable[..., PostgresDatabase]]:
    """Open databases that the test's end closes."""
    opened: list[PostgresDatabase] = []

    def open_(limits: Limits = LIMITS, url: str = postgresql_url) -> PostgresDatabase:
        opened.append(PostgresDatabase(url, limits, ignored))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def kill(postgresql_url: str) -> Callable[[], None]:
    """End every connection to the database, as a restart of the server would."""
    import psycopg

    def kill_others() -> None:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute(KILL_OTHERS)

    return kill_others


def test_reads_and_transactions_go_on_after_connections_were_lost(make: Any, kill: Any) -> None:
    database = make()
    with database.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key)")
    for _ in range(3):
        kill()
        assert database.query("select count(*) from t") == [(0,)]
        kill()
        with database.transaction() as transaction:
            transaction.execute("insert into t values (1)")
            transaction.execute("delete from t")


def test_a_connection_lost_within_a_transaction_is_said_and_nothing_is_committed(
    make: Any, kill: Any
) -> None:
    database = make()
    with database.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key)")
    with pytest.raises(DatabaseUnavailable), database.transaction() as transaction:
        transaction.execute("insert into t values (1)")
        kill()
        transaction.execute("insert into t values (2)")
    assert database.query("select count(*) from t") == [(0,)]


def test_a_commit_whose_connection_was_lost_raises(make: Any, kill: Any) -> None:
    database = make()
    with pytest.raises(DatabaseUnavailable), database.transaction() as transaction:
        transaction.query("select 1")
        kill()
    assert database.query("select 1") == [(1,)]


def test_a_pool_without_a_free_connection_says_so_in_time(make: Any) -> None:
    database = make(Limits(connections=1, statement_timeout=10.0, lock_timeout=0.2))
    with ThreadPoolExecutor(1) as elsewhere, database.transaction():
        started = monotonic()
        with pytest.raises(DatabaseUnavailable, match="all 1 connections") as raised:
            elsewhere.submit(database.query, "select 1").result()
        assert monotonic() - started < 5
    assert raised.value.sqlstate == "53300"
    assert database.query("select 1") == [(1,)]


def test_no_more_connections_are_open_than_allowed(make: Any) -> None:
    database = make()
    barrier = threading.Barrier(LIMITS.connections)

    def read(together: bool) -> Any:
        if together:
            barrier.wait(10)
        return database.query("select pg_sleep(0.01), pg_backend_pid()")[0][1]

    with ThreadPoolExecutor(12) as many:
        pids = list(many.map(read, [True] * LIMITS.connections + [False] * 30))
    assert 1 <= len(set(pids)) <= LIMITS.connections


def test_a_server_that_is_not_there_is_unavailable_and_names_no_address_to_clients(make: Any) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        database = make(url=f"postgresql://ann:s3cret@127.0.0.1:{port}/nothing")
        with pytest.raises(DatabaseUnavailable) as raised:
            database.query("select 1")
    assert raised.value.sqlstate == "08001"
    assert str(port) not in str(raised.value)
    assert "s3cret" not in "".join(raised.value.__notes__)


def test_a_statement_is_stopped_after_its_time(make: Any) -> None:
    database = make(Limits(connections=1, statement_timeout=0.1, lock_timeout=1.0))
    with pytest.raises(DatabaseError) as raised:
        database.query("select pg_sleep(5)")
    assert raised.value.sqlstate == "57014"
    assert database.query("select 1") == [(1,)]


def test_a_statement_prepared_before_a_change_of_the_schema_runs_after_it(make: Any) -> None:
    database, other = make(), make()
    PostgresSignals(other)
    with database.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key); insert into t values (1)")
    assert database.query("select * from t") == [(1,)]
    with database.schema_transaction() as transaction:
        transaction.script("alter table t add column name text default 'x'")
    assert database.query("select * from t") == [(1, "x")]


def test_a_statement_prepared_before_somebody_elses_change_runs_after_it(
    make: Any, postgresql_url: str
) -> None:
    import psycopg

    database = make(Limits(connections=1, statement_timeout=10.0, lock_timeout=1.0))
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("create table t (id int primary key); insert into t values (1)")
        assert database.query("select * from t") == [(1,)]
        connection.execute("alter table t add column name text default 'x'")
        assert database.query("select * from t") == [(1, "x")]
        connection.execute("alter table t drop column name")
        with pytest.raises(DatabaseError), database.transaction() as transaction:
            transaction.query("select * from t")
        with database.transaction() as transaction:
            assert transaction.query("select * from t") == [(1,)]


def test_a_change_of_the_schema_is_seen_by_other_processes_and_after_a_reload_notice(
    make: Any, kill: Any
) -> None:
    database, other = make(), make()
    signals = PostgresSignals(other)
    try:
        assert other.catalogue.table("t") is None
        with database.schema_transaction() as transaction:
            transaction.script("create table t (id int primary key)")
        assert eventually(lambda: other.catalogue.table("t") is not None)
        with database.schema_transaction() as transaction:
            transaction.script("create table u (id int primary key)")
            transaction.script("notify pgrst, 'reload schema'")
        kill()
        with database.schema_transaction() as transaction:
            transaction.script("create table w (id int primary key)")
        assert eventually(lambda: other.catalogue.table("w") is not None)
    finally:
        signals.close()


def test_who_has_waited_for_a_turn_sees_what_the_one_before_has_made(make: Any, postgresql_url: str) -> None:
    """Which a session's own memory of the system tables does not tell: it remembers what was not there, too."""
    import psycopg

    first, second = make(), make(Limits(connections=1, statement_timeout=10.0, lock_timeout=5.0))
    second.prepare()
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("drop schema auth cascade")
    second.prepare()  # by the one connection that is to wait
    assert second.query("select to_regnamespace('kernel')") == [(None,)]

    def change() -> None:
        with second.schema_transaction() as transaction:
            transaction.script("create table later (n int)")

    with ThreadPoolExecutor(1) as elsewhere:
        with first.schema_transaction():
            changing = elsewhere.submit(change)
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            assert eventually(lambda: first.query(waiting) != [(0,)])
        changing.result(10)
    assert second.catalogue.table("later") is not None


def test_settings_of_the_server_do_not_change_results(make: Any, postgresql_url: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        (name,) = connection.execute("select current_database()").fetchone() or ("",)
        for setting in ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Tokyo'", "intervalstyle = 'iso_8601'"):
            connection.execute(f"alter database {name} set {setting}".encode())
    assert make().query("select timestamptz '2024-02-01 00:00+00', interval '1 day 2 hours'") == [
        ("2024-02-01T00:00:00+00:00", "1 day 02:00:00")
    ]


@pytest.mark.parametrize(
    "name", ["integer); drop table t; --", "integer union select", "a b c", '"', "integer[", ""]
)
def test_what_is_no_types_name_does_not_reach_a_statement(make: Any, name: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        make().stored(name)
    assert raised.value.sqlstate == "42704"


def test_prepared_statements_stay_bounded(make: Any) -> None:
    database = make(Limits(connections=1, statement_timeout=10.0, lock_timeout=1.0))
    for number in range(520):
        assert database.query(Compiled(f"select {number}")) == [(number,)]
    ((kept,),) = database.query("select count(*) from pg_prepared_statements")
    assert kept <= 500


def test_a_closed_database_is_unavailable(postgresql_url: str) -> None:
    connections = Connections(postgresql_url, LIMITS)
    session = connections.lend()
    connections.close()
    connections.returned(session)
    with pytest.raises(DatabaseUnavailable):
        connections.lend()


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something holds."""
    pause, deadline = threading.Event(), monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True
