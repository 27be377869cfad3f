"""A server that takes what we send and never answers: nobody waits for ever, and all goes on once it is back."""

from __future__ import annotations

import queue
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from kernel.contracts.database import DatabaseUnavailable
from kernel.identity import Identity
from plugins.database.postgresql import connections
from plugins.database.postgresql.connections import Limits
from plugins.database.postgresql.database import PostgresDatabase
from plugins.database.signals import postgresql as signals_module
from plugins.database.signals.postgresql import PostgresSignals

HASTY = Limits(connections=4, statement_timeout=0.5, lock_timeout=0.5)


@pytest.fixture
def database(
    server: Any, proxy: Any, open_at: Callable[..., PostgresDatabase], monkeypatch: pytest.MonkeyPatch
) -> PostgresDatabase:
    """A database behind the proxy, of little patience; no connection is tried for longer than two seconds."""
    monkeypatch.setattr(connections, "_PATIENCE", 0.5)
    made = open_at(server.url(server.make(), proxy.port) + "?connect_timeout=2", HASTY)
    made.prepare()
    with made.schema_transaction() as transaction:
        transaction.script("create table t (n int primary key); grant select on t to anon;")
    return made


def test_a_read_ends_with_an_error_in_time(database: Any, proxy: Any) -> None:
    for identity in (None, Identity(role="anon")):
        assert database.query("select n from t", identity=identity) == []
        proxy.stall()
        begun = monotonic()
        with pytest.raises(DatabaseUnavailable) as raised:
            database.query("select n from t", identity=identity)
        assert monotonic() - begun < 8
        assert raised.value.sqlstate in ("08001", "08006")
        proxy.resume()
        assert database.query("select n from t", identity=identity) == []


def test_a_transaction_ends_with_an_error_in_time(database: Any, proxy: Any) -> None:
    begun = monotonic()
    with (
        pytest.raises(DatabaseUnavailable, match="not answered for 1 seconds"),
        database.transaction() as transaction,
    ):
        transaction.execute("insert into t values (1)")
        proxy.stall()
        transaction.execute("insert into t values (2)")
    assert monotonic() - begun < 5
    proxy.resume()
    assert database.query("select n from t") == []


def test_a_commit_without_an_answer_is_said_to_be_undecided(database: Any, proxy: Any) -> None:
    with pytest.raises(DatabaseUnavailable) as raised, database.transaction() as transaction:
        transaction.execute("insert into t values (1)")
        proxy.stall()
    assert raised.value.sqlstate == "08007"
    proxy.resume()


def test_a_connection_alone_that_was_cut_off_is_replaced(database: Any, proxy: Any) -> None:
    """As where a firewall has forgotten it."""
    database.query("select n from t")
    proxy.freeze()
    assert database.query("select n from t") == []
    proxy.freeze()
    with database.transaction() as transaction:
        transaction.execute("insert into t values (1)")


def test_a_listener_that_was_cut_off_hears_again(
    database: Any, proxy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_module, "_SILENCE", 0.2)
    heard: queue.Queue[str] = queue.Queue()
    signals = PostgresSignals(database)
    try:
        signals.listen("topic", heard.put)
        signals.send("topic", "before")
        assert heard.get(timeout=10) == "before"
        proxy.freeze()

        def hears() -> bool:
            signals.send("topic", "after")
            try:
                return heard.get(timeout=0.1) == "after"
            except queue.Empty:
                return False

        server.wait_for(hears)
    finally:
        signals.close()
