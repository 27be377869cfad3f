"""Signals: within a process that has a database in memory, between processes that share a file."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import pytest

from kernel.contracts.database import Compiled
from plugins.database.signals.sqlite import SqliteSignals


def test_a_signal_reaches_the_listeners_of_its_topic_in_other_processes(
    make_database: Any, tmp_path: Path
) -> None:
    sender = SqliteSignals(make_database(tmp_path / "kernel.db"), interval=0.01)
    receiver = SqliteSignals(make_database(tmp_path / "kernel.db"), interval=0.01)
    heard: queue.Queue[str] = queue.Queue()
    sender.send("keys", "before anyone listened")
    receiver.listen("keys", heard.put)
    sender.listen("keys", heard.put)
    sender.send("other", "not for us")
    sender.send("keys", "one")
    assert [heard.get(timeout=5), heard.get(timeout=5)] == ["one", "one"]
    sender.send("keys", "two")
    assert heard.get(timeout=5) == "two"
    sender.close()
    receiver.close()


def test_a_listener_that_has_left_hears_nothing(make_database: Any) -> None:
    signals = SqliteSignals(make_database())
    heard: list[str] = []
    leave = signals.listen("keys", heard.append)
    signals.send("keys", "one")
    leave()
    leave()
    signals.send("keys", "two")
    assert heard == ["one"]


def test_a_listener_that_raises_keeps_nobody_from_hearing(
    make_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    signals = SqliteSignals(make_database())
    heard: list[str] = []

    def broken(payload: str) -> None:
        raise RuntimeError(payload)

    signals.listen("keys", broken)
    signals.listen("keys", heard.append)
    signals.send("keys", "one")
    assert heard == ["one"]
    assert "a listener for signals failed" in caplog.text


def test_nothing_polls_while_nobody_listens(make_database: Any, tmp_path: Path) -> None:
    signals = SqliteSignals(make_database(tmp_path / "kernel.db"))
    before = threading.active_count()
    signals.send("keys", "one")
    assert threading.active_count() == before
    signals.listen("keys", print)
    assert threading.active_count() == before + 1
    signals.close()
    assert threading.active_count() == before


def test_old_signals_are_pruned(make_database: Any, tmp_path: Path) -> None:
    database = make_database(tmp_path / "kernel.db")
    signals = SqliteSignals(database)
    signals.send("keys", "old")
    with database.transaction() as transaction:
        transaction.execute(Compiled('UPDATE "kernel.signals" SET "sent" = "sent" - 3600'))
    signals.send("keys", "new")
    assert database.query(Compiled('SELECT "payload" FROM "kernel.signals"')) == [("new",)]


def test_a_long_payload_is_refused(make_database: Any) -> None:
    with pytest.raises(ValueError, match="1000 characters"):
        SqliteSignals(make_database()).send("keys", "x" * 1001)


def test_a_file_that_cannot_be_read_for_a_while_is_told_of_once_and_what_was_missed_is_heard(
    make_database: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kernel.db"
    sender, receiver = (SqliteSignals(make_database(path), interval=0.01) for _ in range(2))
    heard: queue.Queue[str] = queue.Queue()
    receiver.listen("keys", heard.put)
    sender.send("keys", "before")
    # From here on the log holds what is written, and the file's first page is read from the file.
    apsw.Connection(str(path)).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    sender.send("keys", "well")
    assert [heard.get(timeout=10), heard.get(timeout=10)] == ["before", "well"]
    whole = path.read_bytes()

    with caplog.at_level(logging.INFO, "kernel.database"):
        write_over(path, b"\xff" * 4096)
        sender.send("keys", "meanwhile")  # who has read the file before needs it no more
        wait_until(lambda: "reading signals fails" in caplog.text)
        threading.Event().wait(0.3)  # for more tries than one
        assert [record.message for record in caplog.records] == [
            "reading signals fails; trying again until it works"
        ]
        assert str(path) in str(vars(caplog.records[0])["reason"])
        write_over(path, whole)
        sender.send("keys", "after")
        assert [heard.get(timeout=10), heard.get(timeout=10)] == ["meanwhile", "after"]
        wait_until(lambda: "reading signals works again" in caplog.text)
    sender.close()
    receiver.close()


def write_over(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = monotonic() + 20
    while not holds():
        assert monotonic() < deadline
        threading.Event().wait(0.01)
