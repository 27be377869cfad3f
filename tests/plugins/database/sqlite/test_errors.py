"""Errors that SQLite has to explain by looking, and those of its own SQL."""

from __future__ import annotations

import pytest

from kernel.contracts.database import Compiled, DatabaseError
from plugins.database.sqlite import transaction as transactions
from plugins.database.sqlite.database import SqliteDatabase


def refused(database: SqliteDatabase, statement: str | Compiled) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, database.transaction() as transaction:
        transaction.execute(statement)
    return caught.value


def test_explaining_a_violation_takes_no_longer_than_it_may(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table parents (id int primary key); insert into parents values (1);"
            "create table children (id int primary key, parent int references parents)"
        )
    with database.transaction() as transaction:
        transaction.execute(
            "insert into children with recursive n(i) as (select 2 union all select i + 1 from n where i < 20000)"
            " select i, 1 from n"
        )
    monkeypatch.setattr(transactions, "_EXPLAINING_SECONDS", 0.0)
    # The row that is at fault is looked at, and not the table that it is in.
    error = refused(database, "insert into children values (30000, 99)")
    assert (error.sqlstate, error.constraint) == ("23503", "children_parent_fkey")
    # What has to look for rows through all of a table, as SQLite itself does where there is no index, is given up.
    error = refused(database, "delete from parents")
    assert (error.sqlstate, error.constraint) == ("23503", None)
    assert database.query("select count(*) from children") == [(19999,)]


def test_an_error_in_the_engines_own_sql_keeps_postgresqls_codes(database: SqliteDatabase) -> None:
    for sql, sqlstate in (
        ("SELECT 1 FROM nope", "42P01"),
        ("SELECT nope", "42703"),
        ('SELECT "nope"', "42703"),
        ("SELECT nope(1)", "42883"),
        ("SELECT json('{')", "22P02"),
        ("SELECT zeroblob(1000000000)", "54000"),
        ("SELEC", "42601"),
    ):
        assert refused(database, Compiled(sql)).sqlstate == sqlstate
