"""Texts of a length and moments of a precision are kept, compared and rounded as PostgreSQL has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import DatabaseError

WORDS = st.text("ab ", max_size=6)
TIES = st.sampled_from([0, 5, 50, 500, 5_000, 50_000, 500_000, 499_999, 500_001, 999_995, 999_999])
FRACTIONS = st.one_of(TIES, st.integers(0, 999_999))
CLOCKS = st.builds(
    lambda clock, fraction: clock.replace(microsecond=fraction).isoformat(), st.times(), FRACTIONS
)
# A second past the last year of all is refused here.
MOMENTS = st.builds(
    lambda moment, fraction: moment.replace(microsecond=fraction).isoformat(sep=" "),
    st.datetimes(max_value=datetime(9999, 12, 30)),
    FRACTIONS,
)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def same(database: Any, postgresql: Any, sql: str) -> None:
    import psycopg

    def ours() -> object:
        try:
            with database.transaction() as transaction:
                return [tuple(row) for row in transaction.query(sql)]
        except DatabaseError as error:
            return error.sqlstate, error.message

    def theirs() -> object:
        try:
            with postgresql.undone():
                rows = [tuple(row) for row in postgresql.run(sql)]
                found.append(rows)
        except psycopg.Error as error:
            return error.sqlstate, error.diag.message_primary
        return found[-1]

    found: list[object] = []
    assert ours() == theirs(), sql


@QUIET
@given(one=WORDS, other=WORDS, length=st.integers(1, 6), longer=st.integers(1, 6))
def test_texts_of_a_length(
    database: Any, postgresql: Any, one: str, other: str, length: int, longer: int
) -> None:
    a, b = f"'{one}'::char({length})", f"'{other}'::char({longer})"
    same(
        database,
        postgresql,
        f"select {a}, {a} = {b}, {a} < {b}, {a} = '{other}', {a} >= '{other}', {a}::text, {a} || {b}, length({b}), "
        f"{a}::text = '{other}', coalesce(nullif({a}, {b}), 'x')::text, {a} in ({b}, '{other}')",
    )


@QUIET
@given(one=WORDS, length=st.integers(1, 6))
def test_texts_that_are_too_long(database: Any, postgresql: Any, one: str, length: int) -> None:
    make = f"create table t (c char({length}))"
    with database.schema_transaction() as transaction:
        transaction.script(f"drop table if exists t; {make}")
    postgresql.run(f"drop table if exists t; {make}")
    same(database, postgresql, f"insert into t values ('{one}') returning c, length(c)")


@QUIET
@given(moment=MOMENTS, clock=CLOCKS, digits=st.integers(0, 6))
def test_moments_of_a_precision(database: Any, postgresql: Any, moment: str, clock: str, digits: int) -> None:
    same(
        database,
        postgresql,
        f"select '{moment}'::timestamp({digits})::text, '{moment}+00'::timestamptz({digits})::text, "
        f"'{clock}'::time({digits})::text",
    )
