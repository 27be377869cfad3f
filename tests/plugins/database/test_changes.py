"""The change log where the engines differ: snapshots, other programs, processes that are killed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts import ChangeLog, Database
from kernel.contracts.changes import CHANGES_TOPIC, ChangesLost
from kernel.contracts.database import DatabaseError
from kernel.errors import KernelError
from plugins.database.changes import announcing
from plugins.database.changes import postgresql as changes
from plugins.database.changes.following import Pruning

ROOT = Path(__file__).parents[3]
TABLE = "create table t (n bigint primary key); alter publication supabase_realtime add table t;"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on both engines in turn."""
    return (
        f"sqlite:///{tmp_path}/it.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgresql_url")
    )


@pytest.fixture
def start(make_kernel: Any) -> Callable[[str], Any]:
    """Start a kernel on a database that has a published table `t`."""

    def make(url: str, sql: str = TABLE) -> Any:
        kernel = make_kernel(plugins=["database"], settings={"database": {"url": url}})
        if kernel.services[Database].catalogue.table("t") is None:
            with kernel.services[Database].schema_transaction() as transaction:
                transaction.script(sql)
        return kernel

    return make


@pytest.fixture
def log(start: Any, postgresql_url: str) -> ChangeLog:
    """The log of a PostgreSQL database."""
    log: ChangeLog = start(postgresql_url).services[ChangeLog]
    return log


@pytest.fixture
def connect(postgresql_url: str) -> Iterator[Callable[[], Any]]:
    """Open a session as any other program would."""
    opened: list[Any] = []

    def make() -> Any:
        opened.append(psycopg.connect(postgresql_url))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def sessions(connect: Callable[[], Any]) -> list[Any]:
    """Four sessions that are in no transaction."""
    return [connect() for _ in range(4)]


def numbers(changes: Any) -> list[int]:
    """Return what was inserted, in the log's order."""
    return [int(change.new.removeprefix('{"n":').removesuffix("}")) for change in changes]


def test_what_commits_late_is_read_late_and_nobody_waits_for_it(log: ChangeLog, connect: Any) -> None:
    early, late = connect(), connect()
    cursor = log.now()
    late.execute("insert into t values (1)")
    early.execute("insert into t values (2)")
    early.commit()
    batch = log.read(cursor)
    assert numbers(batch.changes) == [2]
    late.execute("insert into t values (3)")
    assert log.read(batch.cursor).changes == ()
    late.commit()
    assert numbers(log.read(batch.cursor).changes) == [1, 3]


def test_a_transaction_that_was_open_when_the_cursor_was_made_is_not_missed(
    log: ChangeLog, connect: Any
) -> None:
    first, second, third = connect(), connect(), connect()
    for number, connection in enumerate((first, second, third, second)):
        connection.execute("insert into t values (%s)", (number,))
    second.commit()
    cursor = (
        log.now()
    )  # the first began before what it sees, the third after; both wrote before its last change
    third.commit()
    first.commit()
    assert numbers(log.read(cursor).changes) == [0, 2]


def test_savepoints_belong_to_their_transaction(log: ChangeLog, connect: Any) -> None:
    cursor, connection = log.now(), connect()
    connection.execute("insert into t values (1); savepoint a; insert into t values (2); rollback to a")
    connection.execute("savepoint b; insert into t values (3); release b")
    assert log.read(cursor).changes == ()
    connection.commit()
    changes = log.read(cursor).changes
    assert numbers(changes) == [1, 3]
    assert len({change.transaction for change in changes}) == 1


def test_another_programs_settings_do_not_show_in_the_log(
    start: Any, postgresql_url: str, connect: Any
) -> None:
    table = (
        "create table t (moment timestamptz, length interval, bytes bytea, number float8);"
        " alter publication supabase_realtime add table t;"
    )
    log = start(postgresql_url, table).services[ChangeLog]
    cursor, connection = log.now(), connect()
    connection.execute(
        "set timezone = 'Asia/Tokyo'; set intervalstyle = 'iso_8601'; set bytea_output = 'escape';"
        " set extra_float_digits = -5; set datestyle = 'SQL, DMY'; set search_path = 'pg_temp'"
    )
    connection.execute(
        "insert into public.t values ('2024-05-01 12:00+00', '1 day 02:00', '\\x00ff', 0.1::float8 + 0.2)"
    )
    connection.commit()
    (change,) = log.read(cursor).changes
    assert change.new == (
        '{"moment":"2024-05-01T12:00:00+00:00","length":"1 day 02:00:00","bytes":"\\\\x00ff",'
        '"number":0.30000000000000004}'
    )


def test_followers_hear_of_other_programs_at_once(log: ChangeLog, connect: Any) -> None:
    following = log.follow(log.now())
    with ThreadPoolExecutor(1) as pool:
        batches: Any = iter(following)
        first = pool.submit(next, batches)
        connection = connect()
        connection.execute("insert into t values (1)")
        begun = time.monotonic()
        connection.commit()
        assert numbers(first.result(10).changes) == [1]
        assert time.monotonic() - begun < 3
    following.close()


def test_our_own_transactions_do_not_wait_for_one_another_to_announce_themselves(
    start: Any, postgresql_url: str
) -> None:
    database = start(postgresql_url).services[Database]
    with psycopg.connect(postgresql_url, autocommit=True) as listener:
        listener.execute("listen kernel_signals")
        with database.transaction() as transaction:
            ((writer,),) = transaction.query("insert into t values (1) returning pg_backend_pid()")
        (heard,) = (
            notify
            for notify in listener.notifies(timeout=10, stop_after=1)
            if CHANGES_TOPIC in notify.payload
        )
    assert heard.pid != writer


def test_what_a_process_has_not_announced_yet_is_announced_when_it_stops(
    start: Any, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = start(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as listener:
        listener.execute("listen kernel_signals")

        def announced(timeout: float) -> bool:
            heard = listener.notifies(timeout=timeout, stop_after=1)
            return any(CHANGES_TOPIC in notify.payload for notify in heard)

        monkeypatch.setattr(announcing, "_PAUSE", 3600)
        for number in (1, 2):
            with kernel.services[Database].transaction() as transaction:
                transaction.execute("insert into t values (:n)", {"n": number})
            if number == 1:
                assert announced(10)
        assert not announced(0.2)
        kernel.stop()
        assert announced(10)


@pytest.mark.parametrize(
    ("seen", "last", "is_lost"),
    [
        ("20:20:", 7, False),  # it saw all that was forgotten
        ("20:20:", 6, True),  # but for the last
        ("15:15:", 7, True),  # of transaction 15 perhaps not all
        ("9:20:9,11", 7, False),  # the horizon does not see what was open for the reader
        ("9:20:9,10", 7, True),  # the horizon sees 10, which may have been forgotten
        ("9:20:9,16", 7, False),  # of 16 nothing was forgotten
    ],
)
def test_what_was_forgotten_concerns_who_has_not_seen_it(seen: str, last: int, is_lost: bool) -> None:
    forgotten = changes._Forgotten("9:18:9,11", 7, "15")
    assert forgotten.concerns(changes._Cursor("ff", seen, last)) is is_lost


def test_a_cursor_on_sqlite_survives_however_long_nothing_happens(start: Any, tmp_path: Path) -> None:
    services = start(f"sqlite:///{tmp_path}/it.db").services
    log = services[ChangeLog]
    with services[Database].transaction() as transaction:
        transaction.execute("insert into t values (1)")
    cursor = log.now()
    assert (log.prune(0), log.prune(0)) == (1, 0)
    assert log.read(cursor).changes == ()


def test_truncation_is_one_change(log: ChangeLog, connect: Any) -> None:
    connection = connect()
    connection.execute("insert into t values (1), (2)")
    connection.commit()
    cursor = log.now()
    connection.execute("truncate t")
    connection.commit()
    assert [(change.command, change.old, change.new) for change in log.read(cursor).changes] == [
        ("TRUNCATE", None, None)
    ]


def test_whoever_may_write_a_table_needs_no_rights_on_the_log(log: ChangeLog, connect: Any) -> None:
    cursor, connection = log.now(), connect()
    connection.execute("""
        create role writer_of_t; grant usage on schema public to writer_of_t; grant insert on t to writer_of_t;
        set role writer_of_t
    """)
    connection.execute("insert into t values (1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute("select * from kernel.changes")
    connection.execute("reset role; drop owned by writer_of_t; drop role writer_of_t")
    connection.commit()
    assert numbers(log.read(cursor).changes) == [1]


def test_a_publication_made_by_another_program_counts_from_the_next_start(
    start: Any, postgresql_url: str, connect: Any
) -> None:
    log = start(postgresql_url).services[ChangeLog]
    connection = connect()
    connection.execute("create table u (n int); alter publication supabase_realtime set table u")
    connection.commit()
    second = start(postgresql_url).services
    cursor = second[ChangeLog].now()
    connection.execute("insert into t values (1); insert into u values (2)")
    connection.commit()
    assert [change.table for change in log.read(cursor).changes] == ["u"]


def test_a_partitioned_table_is_logged_by_its_partitions(
    start: Any, postgresql_url: str, connect: Any
) -> None:
    table = """
        create table t (n bigint primary key) partition by range (n);
        create table low partition of t for values from (0) to (10);
        alter publication supabase_realtime add table t;
        create table high partition of t for values from (10) to (20);
    """
    log = start(postgresql_url, table).services[ChangeLog]
    cursor, connection = log.now(), connect()
    connection.execute("insert into t values (1), (11); update t set n = 12 where n = 1")
    connection.commit()
    changes = log.read(cursor).changes
    assert [(change.command, change.table) for change in changes] == [
        ("INSERT", "low"),
        ("INSERT", "high"),
        ("DELETE", "low"),
        ("INSERT", "high"),
    ]


def test_pruning_spares_what_commits_after_it_looked(log: ChangeLog, connect: Any) -> None:
    long, short = connect(), connect()
    long.execute("insert into t values (1)")
    short.execute("insert into t values (2)")
    short.commit()
    cursor = log.now()
    assert log.prune(0) == 1
    long.commit()
    assert log.prune(3600) == 0
    assert numbers(log.read(cursor).changes) == [1]
    assert log.prune(0) == 1
    with pytest.raises(ChangesLost):
        log.read(cursor)


def test_a_reader_of_today_is_not_lost_while_a_transaction_outlasts_the_retention(
    log: ChangeLog, connect: Any
) -> None:
    long, short = connect(), connect()
    long.execute("insert into t values (1)")
    short.execute("insert into t values (2)")
    short.commit()
    cursor = log.read(log.now()).cursor
    log.prune(0)
    assert log.read(cursor).changes == ()
    long.commit()
    assert numbers(log.read(cursor).changes) == [1]


_fresh = itertools.count(1)

STEPS = st.lists(
    st.tuples(
        st.sampled_from([*["write"] * 4, *["commit"] * 3, *["read"] * 4, "rollback", "prune"]),
        st.integers(0, 3),
    ),
    min_size=30,
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_course_of_transactions_is_read_once_and_causes_before_effects(
    log: ChangeLog, sessions: list[Any], steps: list[tuple[str, int]]
) -> None:
    cursor = log.now()
    written: dict[int, list[int]] = {who: [] for who in range(4)}
    committed_before: dict[int, frozenset[int]] = {}
    committed: list[int] = []
    seen: list[int] = []
    for step, argument in steps:
        if step == "write":
            number = next(_fresh)
            sessions[argument].execute("insert into t values (%s)", (number,))
            written[argument].append(number)
            committed_before[number] = frozenset(committed)
        elif step == "commit":
            sessions[argument].commit()
            committed += written[argument]
            written[argument] = []
        elif step == "rollback":
            sessions[argument].rollback()
            written[argument] = []
        elif step == "prune":
            log.prune(3600)
        else:
            batch = log.read(cursor, argument + 1)
            cursor = batch.cursor
            seen += numbers(batch.changes)
    for session in sessions:
        session.rollback()
    for _ in range(2):  # the first may end the page that it is in the middle of
        batch = log.read(cursor)
        cursor = batch.cursor
        seen += numbers(batch.changes)
    assert sorted(seen) == sorted(committed)
    for place, one in enumerate(seen):
        assert committed_before[one] <= set(seen[:place])


@pytest.mark.parametrize(
    "statement",
    [
        "alter publication supabase_realtime add tables in schema public",
        "alter publication supabase_realtime add table t (n)",
        "alter publication supabase_realtime add table t where (n > 1)",
        "alter publication supabase_realtime set (publish = 'insert')",
        "create publication supabase_realtime for all tables",
        "create publication other for table t",
        "drop publication other",
    ],
)
def test_what_sqlite_cannot_publish_is_refused(start: Any, statement: str) -> None:
    database = start("sqlite:///:memory:").services[Database]
    with pytest.raises(DatabaseError) as caught, database.schema_transaction() as transaction:
        transaction.script(statement)
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize(
    "statement",
    [
        "alter publication supabase_realtime set table t (n)",
        "alter publication supabase_realtime set table t where (n > 1)",
        "alter publication supabase_realtime set (publish = 'insert')",
    ],
)
def test_what_would_narrow_the_log_on_postgresql_is_refused(
    start: Any, postgresql_url: str, connect: Any, statement: str
) -> None:
    database = start(postgresql_url).services[Database]
    with pytest.raises(DatabaseError) as caught, database.schema_transaction() as transaction:
        transaction.script(statement)
    assert caught.value.sqlstate == "0A000"
    connection = connect()
    connection.execute(statement.encode())
    connection.commit()
    with pytest.raises(KernelError, match="the publication supabase_realtime has row filters"):
        start(postgresql_url)


def test_enums_arrays_and_intervals_are_logged(start: Any, url: str) -> None:
    table = (
        "create type mood as enum ('sad', 'happy');"
        " create table t (n int primary key, feels mood, words text[], length interval);"
        " alter publication supabase_realtime add table t;"
    )
    services = start(url, table).services
    cursor = services[ChangeLog].now()
    with services[Database].transaction() as transaction:
        transaction.execute("insert into t values (1, 'sad', '{a,NULL}', '1 day 02:00')")
    (change,) = services[ChangeLog].read(cursor).changes
    assert change.new == '{"n":1,"feels":"sad","words":["a",null],"length":"1 day 02:00:00"}'


def test_a_view_cannot_be_published(start: Any, url: str) -> None:
    database = start(url).services[Database]
    with pytest.raises(DatabaseError) as caught, database.schema_transaction() as transaction:
        transaction.script(
            "create view v as select n from t; alter publication supabase_realtime add table v"
        )
    assert caught.value.sqlstate == "22023"


def test_the_log_is_pruned_in_the_background(start: Any, url: str) -> None:
    services = start(url).services
    cursor, log = services[ChangeLog].now(), services[ChangeLog]
    with services[Database].transaction() as transaction:
        transaction.execute("insert into t values (1)")
    pruning = Pruning(log, 0.01)
    try:
        with pytest.raises(ChangesLost):
            while log.read(cursor).changes:
                pass
    finally:
        pruning.close()


def test_a_retention_of_nothing_is_refused(make_kernel: Any) -> None:
    with pytest.raises(KernelError, match="change_retention"):
        make_kernel(plugins=["database"], settings={"database": {"change_retention": 0}})


PROGRAM = """
import os, signal, sys
from kernel.contracts.database import Database
from kernel.testing import KernelFactory
from pathlib import Path

url, folder, point = sys.argv[1:]
database = KernelFactory(Path(folder))(plugins=["database"], settings={"database": {"url": url}}).services[Database]

def reach(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)

with database.transaction() as transaction:
    transaction.execute("insert into t values (1)")
with database.transaction() as transaction:
    reach("begun")
    transaction.execute("insert into t values (2)")
    reach("written")
    transaction.execute("update t set n = 3 where n = 2")
    reach("written twice")
    commit = transaction._commit
    transaction._commit = lambda: (commit(), reach("committed"))
reach("released")
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("point", "is_committed"),
    [("begun", False), ("written", False), ("written twice", False), ("committed", True), ("released", True)],
)
def test_a_killed_writer_leaves_what_it_committed_and_nothing_else(
    start: Any, url: str, tmp_path: Path, point: str, is_committed: bool
) -> None:
    services = start(url).services
    log, database = services[ChangeLog], services[Database]
    cursor = log.now()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, str(tmp_path), point],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    # Whoever writes next finds the way free: on PostgreSQL the server has noticed by then.
    with database.transaction() as transaction:
        transaction.execute("insert into t values (9)")
    news = [change.new for change in log.read(cursor).changes]
    expected = [1, *((2, 3) if is_committed else ()), 9]
    assert news == [f'{{"n":{number}}}' for number in expected]
    kept = {number for (number,) in database.query("select n from t")}
    assert kept == {1, 9} | ({3} if is_committed else set())
