"""Reads: never waiting for a writer, never writing, never running for ever."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kernel.contracts.database import Compiled, DatabaseError, DatabaseUnavailable
from kernel.http import TooLong
from plugins.database.sqlite.connections import Limits
from plugins.database.sqlite.database import SqliteDatabase, path_of

LONG = "with recursive t(i) as (select 1 union all select i + 1 from t where i < 100000000) select count(*) from t"


@pytest.fixture(params=["memory", "file"])
def rows(request: pytest.FixtureRequest, make_database: Any, tmp_path: Path) -> SqliteDatabase:
    """A table of 1,000 rows, in memory and on disk."""
    database: SqliteDatabase = make_database(None if request.param == "memory" else tmp_path / "kernel.db")
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table t (id int primary key, name text);"
            "insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)"
            " select i, 'row ' || i from n"
        )
    return database


def test_parameters_are_bound_by_name(rows: SqliteDatabase) -> None:
    assert rows.query("select name from t where id = :id and name <> ':id'", {"id": 7}) == [("row 7",)]


@pytest.mark.parametrize(
    ("params", "sqlstate"),
    [
        ({}, "42P02"),
        ({"other": 1}, "42P02"),
        ({"id": "a\x00b"}, "22021"),
        ({"id": "\ud800"}, "22021"),
        ({"id": 2**63}, "22003"),
        ({"id": "abc"}, "22P02"),
        ({"id": [1]}, "42804"),
    ],
)
def test_a_bad_parameter_is_a_clear_error(
    rows: SqliteDatabase, params: dict[str, Any], sqlstate: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        rows.query("select name from t where id = :id", params)
    assert caught.value.sqlstate == sqlstate
    assert rows.query("select 1") == [(1,)]


def test_two_statements_are_refused_where_one_is_expected(rows: SqliteDatabase) -> None:
    for text in ("select 1; select 2", "", "-- nothing", "select 1; drop table t"):
        with pytest.raises(DatabaseError) as caught:
            rows.query(text)
        assert caught.value.sqlstate == "42601"


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "insert into t values (0, 'x')",
        "delete from t",
        "create table x (a int)",
        Compiled("DELETE FROM t"),
        Compiled("INSERT INTO t VALUES (0, 'x') RETURNING id"),
    ],
)
def test_a_read_that_writes_is_refused(rows: SqliteDatabase, statement: Any, inline: bool) -> None:
    with pytest.raises(DatabaseError) as caught:
        rows.query(statement, inline=inline)
    assert caught.value.sqlstate == "25006"
    assert rows.query("select count(*) from t") == [(1000,)]


def test_readers_do_not_wait_for_a_writer(rows: SqliteDatabase) -> None:
    writing, done = threading.Event(), threading.Event()

    def write() -> None:
        with rows.transaction() as transaction:
            transaction.execute("delete from t")
            writing.set()
            done.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert writing.wait(10)
        assert rows.query("select count(*) from t") == [(1000,)]
        assert rows.query("select count(*) from t", inline=True) == [(1000,)]
    finally:
        done.set()
        thread.join()
    assert rows.query("select count(*) from t", inline=True) == [(0,)]


def test_an_inline_read_within_its_budget_answers_again_and_again(rows: SqliteDatabase) -> None:
    for _ in range(200):
        assert len(rows.query("select * from t order by id limit 30", inline=True)) == 30


def test_an_inline_read_past_its_budget_is_handed_back(rows: SqliteDatabase) -> None:
    with pytest.raises(TooLong):
        rows.query("select count(*) from t a, t b", inline=True)
    assert rows.query("select count(*) from t a, t b") == [(1_000_000,)]


def test_a_statement_past_its_time_is_interrupted(make_database: Any) -> None:
    database = make_database(limits=Limits(0.05, 1.0, 1000))
    with pytest.raises(DatabaseError) as caught:
        database.query(LONG)
    assert caught.value.sqlstate == "57014"
    assert not isinstance(caught.value, DatabaseUnavailable)  # another try takes as long
    with pytest.raises(DatabaseError) as caught, database.transaction() as transaction:
        transaction.query(LONG)
    assert caught.value.sqlstate == "57014"


def test_what_is_read_between_statements_is_on_no_statements_clock(make_database: Any) -> None:
    # SQLite looks at the clock every 10,000 steps, which a cached statement counts over all its runs.
    database = make_database(limits=Limits(0.05, 1.0, 1000))
    for number in range(150):
        with database.schema_transaction() as transaction:
            transaction.execute(f"create table t{number} (id int)")
        assert f"t{number}" in {table.name for table in database.catalogue.tables.values()}
    alone = database.connections.separate()
    for _ in range(400):
        assert alone.execute("select count(*) from sqlite_schema").fetchall()


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder of one's own, and no rights of root's over it."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_a_file_that_may_not_be_written_is_read_but_not_written(make_database: Any) -> None:
    with as_nobody() as folder:
        path = folder / "kernel.db"
        first = make_database(path)
        with first.schema_transaction() as transaction:
            transaction.script("create table t (id int); insert into t values (1)")
        first.close()
        path.chmod(0o400)
        database = make_database(path)
        assert database.query("select id from t") == [(1,)]
        with (
            pytest.raises(DatabaseUnavailable, match="read-only") as caught,
            database.transaction() as transaction,
        ):
            transaction.execute("insert into t values (2)")
        assert caught.value.sqlstate == "25006"
        database.close()


def test_a_full_disk_is_a_clear_error_and_loses_nothing(make_database: Any, tmp_path: Path) -> None:
    database = make_database(tmp_path / "kernel.db")
    with database.schema_transaction() as transaction:
        transaction.script("create table t (name text); insert into t values ('kept')")
    with (
        pytest.raises(DatabaseUnavailable, match="disk is full") as caught,
        database.transaction() as transaction,
    ):
        database.connections.writer().connection.pragma("max_page_count", 1)
        transaction.execute("insert into t values (:name)", {"name": "x" * 1_000_000})
    assert caught.value.sqlstate == "53100"
    database.connections.writer().connection.pragma("max_page_count", 1_000_000)
    assert database.query("select name from t") == [("kept",)]
    with database.transaction() as transaction:
        transaction.execute("insert into t values ('more')")


def test_a_file_that_is_no_database_is_a_clear_error(make_database: Any, tmp_path: Path) -> None:
    path = tmp_path / "kernel.db"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 100)
    database = make_database(path)
    with pytest.raises(DatabaseUnavailable) as caught:
        database.query("select 1 from t")
    assert caught.value.sqlstate == "XX001"


def test_a_folder_that_is_missing_is_a_clear_error(make_database: Any, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        make_database(tmp_path / "missing" / "kernel.db").query("select 1")
    assert caught.value.sqlstate == "58030"


def test_an_image_starts_a_database_that_shares_nothing_with_its_source(make_database: Any) -> None:
    source = make_database()
    with source.schema_transaction() as transaction:
        transaction.script("create table t (id int primary key); insert into t values (1)")
    image = source.image()
    copies = [make_database() for _ in range(2)]
    for copy in copies:
        copy.load(image)
    with copies[0].transaction() as transaction:
        transaction.execute("insert into t values (2)")
    assert source.query("select id from t") == [(1,)]
    assert copies[0].query("select id from t order by id") == [(1,), (2,)]
    assert copies[1].query("select id from t") == [(1,)]
    assert copies[1].catalogue.tables == source.catalogue.tables
    with pytest.raises(RuntimeError, match="before its first use"):
        source.load(image)


def test_a_database_in_memory_leaves_no_file(make_database: Any) -> None:
    database = make_database()
    database.query("select 1")
    folder = database.connections.folder
    assert folder is not None
    assert folder.is_dir()
    database.close()
    assert not folder.exists()


def test_urls_name_files_in_the_data_folder_anywhere_or_nowhere(tmp_path: Path) -> None:
    assert path_of("sqlite:///kernel.db", lambda: tmp_path) == tmp_path / "kernel.db"
    assert path_of("sqlite:////srv/app.db", lambda: tmp_path) == Path("/srv/app.db")
    assert path_of("sqlite:///:memory:", lambda: tmp_path) is None
