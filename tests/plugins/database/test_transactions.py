"""Transactions: all or nothing, one at a time, events after the commit."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kernel.contracts.database import Compiled, DatabaseError, DatabaseUnavailable
from kernel.events import Event
from kernel.identity import Identity
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase


class Happened(Event, frozen=True):
    name = "test.thing.happened"


def with_table(database: Any) -> SqliteDatabase:
    with database.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key, n int); insert into t values (1, 1)")
    return database


def test_a_block_that_raises_leaves_nothing(database: Any) -> None:
    with_table(database)
    with pytest.raises(KeyError), database.transaction() as transaction:
        transaction.execute("insert into t values (2, 2)")
        raise KeyError
    assert database.query("select id from t") == [(1,)]


def test_execute_counts_rows_changed_and_rows_read(database: Any) -> None:
    with_table(database)
    with database.transaction() as transaction:
        assert transaction.execute("insert into t values (2, 2), (3, 3)") == 2
        assert transaction.execute("update t set n = 0 where id > 1") == 2
        assert transaction.execute("select * from t") == 3
        assert transaction.execute("delete from t where id > 7") == 0


def test_after_a_failed_statement_all_others_are_refused_and_nothing_stays(database: Any) -> None:
    with_table(database)
    with pytest.raises(DatabaseError) as caught, database.transaction() as transaction:
        transaction.execute("insert into t values (2, 2)")
        with pytest.raises(DatabaseError):
            transaction.execute("insert into t values (1, 1)")
        transaction.execute("insert into t values (3, 3)")
    assert caught.value.sqlstate == "25P02"
    assert database.query("select id from t") == [(1,)]


def test_swallowing_a_failed_statement_does_not_commit_the_rest(database: Any) -> None:
    with_table(database)
    with pytest.raises(DatabaseError, match="rolled back"), database.transaction() as transaction:
        transaction.execute("insert into t values (2, 2)")
        with pytest.raises(DatabaseError):
            transaction.execute("select nope")
    assert database.query("select id from t") == [(1,)]


def test_transactions_do_not_nest(database: Any) -> None:
    with (
        database.transaction(),
        pytest.raises(DatabaseError, match="already a transaction") as caught,
        database.transaction(),
    ):
        pass
    assert caught.value.sqlstate == "25001"
    with database.transaction() as transaction:
        assert transaction.query("select 1") == [(1,)]


def test_a_transaction_is_not_usable_after_its_end(database: Any) -> None:
    with database.transaction() as transaction:
        pass
    with pytest.raises(DatabaseError, match="has ended"):
        transaction.query("select 1")


def test_a_read_outside_sees_only_what_was_committed(database: Any) -> None:
    with_table(database)
    with database.transaction() as transaction:
        transaction.execute("update t set n = 2")
        assert transaction.query("select n from t") == [(2,)]
        assert database.query("select n from t") == [(1,)]
    assert database.query("select n from t") == [(2,)]


def test_events_are_published_after_the_commit_in_order(make_database: Any) -> None:
    seen: list[Any] = []

    def listener(event: Event) -> None:
        seen.append((event, database.query("select n from t")))
        with database.transaction() as transaction:  # the writer is free again
            transaction.execute("update t set n = n + 1")

    database = with_table(make_database(publish=listener))
    with database.transaction() as transaction:
        transaction.publish(Happened())
        transaction.publish(Happened())
        transaction.execute("update t set n = 10")
        assert seen == []
    assert seen == [(Happened(), [(10,)]), (Happened(), [(11,)])]


def test_events_are_never_published_after_a_rollback(make_database: Any) -> None:
    seen: list[Any] = []
    database = with_table(make_database(publish=seen.append))
    with pytest.raises(DatabaseError), database.transaction() as transaction:
        transaction.publish(Happened())
        transaction.execute("insert into t values (1, 1)")
    with pytest.raises(KeyError), database.transaction() as transaction:
        transaction.publish(Happened())
        raise KeyError
    assert seen == []


def test_a_deferred_reference_that_is_broken_at_the_commit_rolls_back(database: Any) -> None:
    with_table(database)
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table c (t_id int, foreign key (t_id) references t deferrable initially deferred)"
        )
    with pytest.raises(DatabaseError) as caught, database.transaction() as transaction:
        transaction.execute("insert into c values (99)")
    assert caught.value.sqlstate == "23503"
    assert database.query("select * from c") == []


def test_a_schema_change_needs_its_own_transaction(database: Any) -> None:
    with pytest.raises(DatabaseError, match="changes the schema"), database.transaction() as transaction:
        transaction.execute("create table x (a int)")


def test_a_script_that_fails_at_its_end_leaves_nothing(database: Any) -> None:
    before = database.catalogue
    with pytest.raises(DatabaseError, match="syntax error"), database.schema_transaction() as transaction:
        transaction.script("create table x (a int); create schema s; selec 1")
    with pytest.raises(DatabaseError, match="does not exist"), database.schema_transaction() as transaction:
        transaction.script("create table x (a int); create schema s; insert into nope values (1)")
    assert database.catalogue.tables == before.tables
    assert database.catalogue.schemas == before.schemas
    with pytest.raises(DatabaseError, match='relation "x" does not exist'):
        database.query("select * from x")


def test_a_second_writer_of_the_process_waits_no_longer_than_the_busy_timeout(make_database: Any) -> None:
    database = with_table(make_database(limits=Limits(10.0, 0.05, 1000)))
    refused: list[Exception] = []

    def write() -> None:
        try:
            with database.transaction():
                pass
        except DatabaseUnavailable as error:
            refused.append(error)

    with database.transaction():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert [getattr(error, "sqlstate", None) for error in refused] == ["55P03"]


def test_many_threads_write_without_losing_anything(database: Any) -> None:
    with_table(database)

    def add() -> None:
        for _ in range(25):
            with database.transaction() as transaction:
                transaction.execute("update t set n = n + 1")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.query("select n from t") == [(201,)]


def test_a_statement_needs_the_rights_of_the_transactions_identity(database: Any) -> None:
    database.prepare()
    with_table(database)
    anna = Identity(role="authenticated", subject="anna")
    for statement in (
        "select * from t",
        Compiled("SELECT * FROM t"),
        Compiled("SELECT * FROM t", role="anon"),
    ):
        with pytest.raises(DatabaseError) as caught, database.transaction(anna) as transaction:
            transaction.query(statement)
        assert caught.value.sqlstate == "42501"
        with pytest.raises(DatabaseError) as caught:
            database.query(statement, identity=anna)
        assert caught.value.sqlstate == "42501"
    with database.schema_transaction() as transaction:
        transaction.script("grant select on t to authenticated")
    with database.transaction(anna) as transaction:
        assert transaction.query(Compiled("SELECT n FROM t", role="authenticated")) == [(1,)]
        assert transaction.query("select n from t") == [(1,)]
    with database.transaction(Identity(role="service_role")) as transaction:
        assert transaction.query("select n from t") == [(1,)]


def test_now_stays_the_same_within_a_transaction(database: Any) -> None:
    with database.transaction() as transaction:
        first = transaction.query("select now(), current_timestamp")
        assert transaction.query("select now(), now()") == first
    with database.transaction() as transaction:
        assert transaction.query("select now(), now()") != first
