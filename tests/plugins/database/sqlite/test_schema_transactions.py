"""Transactions that change the schema: tables are rebuilt in them, which other engines need not do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError
from plugins.database.schema_work.sqlite import SqliteSchemaWork
from plugins.database.sqlite.database import SqliteDatabase


def test_foreign_keys_are_off_within_a_schema_transaction_and_checked_at_its_end(
    database: SqliteDatabase,
) -> None:
    with database.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key, n int); insert into t values (1, 1)")
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table c (t_id int references t(id) on delete cascade); insert into c values (1)"
        )
    with database.schema_transaction() as transaction:
        transaction.script("delete from t; insert into t values (1, 5)")
    assert database.query("select * from c") == [(1,)]
    with pytest.raises(DatabaseError) as caught, database.schema_transaction() as transaction:
        transaction.script("delete from t")
    assert (caught.value.sqlstate, caught.value.constraint) == ("23503", "c_t_id_fkey")
    with database.transaction() as transaction:
        transaction.execute("delete from t")
    assert database.query("select * from c") == []


def test_who_migrates_one_file_takes_turns(make_database: Any, tmp_path: Path) -> None:
    """However long it takes: a busy time-out is for writers."""
    works = [SqliteSchemaWork(make_database(tmp_path / "kernel.db"), make_database) for _ in range(2)]
    waiting, order = threading.Event(), []

    def second() -> None:
        with works[1].turn(waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with works[0].turn(lambda: order.append("the first waited")):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
