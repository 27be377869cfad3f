"""Domains in the catalogue, the same on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import DatabaseError


def make(database: Any, script: str) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(script)


def test_a_domain_is_in_the_catalogue(database: Any) -> None:
    make(
        database,
        """
        create domain email as varchar(80) default 'nobody@example.org' not null
            constraint mail check (value like '%@%') check (value <> '');
        comment on domain email is 'where mail goes';
        create table people (id int, address email, other email default 'x@y');
        """,
    )
    domain = database.catalogue.domains["public", "email"]
    assert (domain.type, domain.nullable, domain.comment) == (
        "character varying(80)",
        False,
        "where mail goes",
    )
    assert set(domain.checks) == {"email_check", "mail"}
    assert "nobody@example.org" in domain.default
    columns = database.catalogue.tables["public", "people"].columns
    assert (columns["address"].type, columns["address"].default) == ("email", None)
    make(database, "drop domain email cascade")
    assert not database.catalogue.domains
    assert list(database.catalogue.tables["public", "people"].columns) == ["id"]


def test_a_value_is_checked_however_it_gets_in(database: Any) -> None:
    make(
        database,
        "create domain positive as int check (value > 0); create table t (id int primary key, n positive);"
        "create function twice(p positive) returns positive language sql as 'select p * 2'",
    )
    with database.transaction() as transaction:
        transaction.query("insert into t values (1, :n)", {"n": "5"})
    stored = database.stored("positive")
    assert stored.type == "positive"
    for statement in (
        "insert into t values (2, :n)",
        "update t set n = :n",
        "select :n::positive",
        "select twice(:n)",
    ):
        with pytest.raises(DatabaseError) as raised, database.transaction() as transaction:
            transaction.query(statement, {"n": "-1"})
        assert (raised.value.sqlstate, raised.value.constraint) == ("23514", "positive_check")
        assert raised.value.message == 'value for domain positive violates check constraint "positive_check"'
    assert database.query("select n, twice(n) from t") == [(5, 10)]
