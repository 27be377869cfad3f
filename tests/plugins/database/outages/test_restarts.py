"""A server that stops and starts again while we are at work: what is said, and that we go on without a restart."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kernel.contracts.changes import ChangeBatch
from kernel.contracts.database import DatabaseUnavailable
from kernel.events import Event
from kernel.identity import Identity
from plugins.database.changes.postgresql import PostgresChangeLog
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.signals.postgresql import PostgresSignals

HOW = ["fast", "immediate"]
TABLE = "create table t (n int primary key); grant select on t to anon;"


class Happened(Event, frozen=True):
    name = "test.thing.happened"


@pytest.fixture
def published() -> list[Event]:
    return []


@pytest.fixture
def database(
    server: Any, open_at: Callable[..., PostgresDatabase], published: list[Event]
) -> PostgresDatabase:
    """A database with a table."""
    made = open_at(server.url(server.make()), publish=published.append)
    made.prepare()
    with made.schema_transaction() as transaction:
        transaction.script(TABLE)
    return made


@pytest.mark.parametrize("how", HOW)
def test_between_transactions_a_restart_is_not_noticed(server: Any, database: Any, how: str) -> None:
    for number in range(3):
        server.stop(how)
        server.start()
        assert database.query("select count(*) from t") == [(number,)]
        server.stop(how)
        server.start()
        with database.transaction() as transaction:
            transaction.execute("insert into t values (:n)", {"n": number})


@pytest.mark.parametrize("how", HOW)
def test_between_transactions_all_connections_may_have_died(server: Any, database: Any, how: str) -> None:
    """The first that is found dead takes the others with it: none of them is tried."""

    def write() -> None:
        with database.transaction() as transaction:
            transaction.execute("insert into t values (1)")

    for attempt in (lambda: database.query("select n from t"), write):
        sessions = [database.connections.lend() for _ in range(3)]
        for session in sessions:
            database.connections.returned(session)
        server.stop(how)
        server.start()
        attempt()


@pytest.mark.parametrize("how", HOW)
def test_while_it_is_down_that_is_said_and_afterwards_all_goes_on(
    server: Any, database: Any, how: str
) -> None:
    anyone = Identity(role="anon")
    server.stop(how)
    for read in (
        lambda: database.query("select 1"),
        lambda: database.query("select 1 from t", identity=anyone),
    ):
        with pytest.raises(DatabaseUnavailable) as raised:
            read()
        assert raised.value.sqlstate == "08001"
    with pytest.raises(DatabaseUnavailable), database.transaction():
        pass
    with pytest.raises(DatabaseUnavailable), database.schema_transaction():
        pass
    server.start()
    assert database.query("select n from t", identity=anyone) == []
    with database.transaction() as transaction:
        transaction.execute("insert into t values (1)")


@pytest.mark.parametrize("how", HOW)
def test_a_transaction_that_is_open_is_lost_and_said_to_be(
    server: Any, database: Any, published: list[Event], how: str
) -> None:
    with pytest.raises(DatabaseUnavailable) as raised, database.transaction() as transaction:
        transaction.execute("insert into t values (1)")
        transaction.publish(Happened())
        server.stop(how)
        server.start()
        transaction.execute("insert into t values (2)")
    assert raised.value.sqlstate in ("08006", "57P01")
    assert database.query("select n from t") == []
    assert published == []


@pytest.mark.parametrize("how", HOW)
def test_a_commit_that_nobody_answers_is_said_to_be_undecided(
    server: Any, database: Any, published: list[Event], how: str
) -> None:
    with (
        pytest.raises(DatabaseUnavailable, match="may or may not") as raised,
        database.transaction() as transaction,
    ):
        transaction.execute("insert into t values (1)")
        transaction.publish(Happened())
        server.stop(how)
    assert raised.value.sqlstate == "08007"
    assert published == []
    server.start()
    assert database.query("select n from t") == []


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("identity", [None, Identity(role="anon")], ids=["alone", "in a pipeline"])
def test_a_statement_that_runs_ends_with_an_error(
    server: Any, database: Any, how: str, identity: Identity | None
) -> None:
    database.query("select pg_sleep(0.001)", identity=identity)
    raised: list[Exception] = []

    def read() -> None:
        try:
            database.query("select pg_sleep(60)", identity=identity)
        except DatabaseUnavailable as error:
            raised.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    server.wait_for(
        lambda: database.query("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == [(1,)]
    )
    server.stop(how)
    reading.join(20)
    assert len(raised) == 1
    server.start()
    assert database.query("select n from t", identity=identity) == []


@pytest.mark.parametrize("how", HOW)
def test_a_schema_transaction_that_is_open_leaves_nothing(server: Any, database: Any, how: str) -> None:
    with pytest.raises(DatabaseUnavailable), database.schema_transaction() as transaction:
        transaction.script("create table u (n int)")
        server.stop(how)
        server.start()
        transaction.script("create table v (n int)")
    assert set(database.catalogue.tables) == {("public", "t")}
    with database.schema_transaction() as transaction:
        transaction.script("create table u (n int)")


@pytest.fixture
def signals(database: PostgresDatabase) -> Iterator[PostgresSignals]:
    made = PostgresSignals(database)
    yield made
    made.close()


@pytest.mark.parametrize("how", HOW)
def test_signals_are_heard_again_after_a_restart(
    server: Any, database: Any, signals: PostgresSignals, how: str
) -> None:
    heard: queue.Queue[str] = queue.Queue()
    signals.listen("topic", heard.put)
    signals.send("topic", "before")
    assert heard.get(timeout=10) == "before"
    server.stop(how)
    server.start()

    def hears() -> bool:
        signals.send("topic", "after")  # a signal is not kept for who is not there
        try:
            return heard.get(timeout=0.1) == "after"
        except queue.Empty:
            return False

    server.wait_for(hears)


@pytest.mark.parametrize("how", HOW)
def test_who_follows_the_change_log_misses_and_repeats_nothing(
    server: Any, database: Any, signals: PostgresSignals, how: str
) -> None:
    log = PostgresChangeLog(database, signals)
    with database.schema_transaction() as transaction:
        transaction.script("alter publication supabase_realtime add table t;")
    following = log.follow(log.now())
    seen: list[int] = []
    raised: list[BaseException] = []

    def follow() -> None:
        try:
            for batch in following:
                seen.extend(numbers(batch))
        except BaseException as error:
            raised.append(error)

    reading = threading.Thread(target=follow)
    reading.start()
    try:
        for number in range(1, 4):
            with database.transaction() as transaction:
                transaction.execute("insert into t values (:n)", {"n": 2 * number})
            server.stop(how)
            server.start()
            with database.transaction() as transaction:
                transaction.execute("insert into t values (:n)", {"n": 2 * number + 1})
        server.wait_for(lambda: len(seen) >= 6 or bool(raised))
    finally:
        following.close()
        reading.join(20)
        log.close()
    assert raised == []
    assert seen == [2, 3, 4, 5, 6, 7]


def numbers(batch: ChangeBatch) -> list[int]:
    return [int((change.new or "").strip('{"n: }')) for change in batch.changes]
