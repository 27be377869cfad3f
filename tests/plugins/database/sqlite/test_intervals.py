"""Intervals and the arithmetic of dates: random ones give PostgreSQL's answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.database import SqliteDatabase

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
whole = st.integers(-2000, 2000)
clocks = st.integers(-(10**12), 10**12).map(lambda number: f"{number} microseconds")
spans = st.tuples(whole, whole, clocks).map(lambda parts: f"{parts[0]} mons {parts[1]} days {parts[2]}")
parts = st.tuples(
    st.decimals(-100, 100, places=2),
    st.sampled_from(["year", "mon", "week", "day", "hour", "min", "sec", "ms", "us"]),
).map(lambda part: f"{part[0]} {part[1]}")
written = st.lists(parts, min_size=1, max_size=3).map(" ".join)
moments = st.datetimes(datetime(1700, 1, 1), datetime(2300, 1, 1))


def both(database: SqliteDatabase, postgresql: Any, statement: str) -> None:
    """Have a statement give the same rows, or fail with the same SQLSTATE."""

    def theirs() -> Any:
        with postgresql.undone():
            return postgresql.run(statement)

    assert answer(lambda: database.query(statement)) == answer(theirs)


def answer(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (DatabaseError, psycopg.Error) as error:
        return error.sqlstate


@quick
@given(text=written)
def test_an_interval_is_read_as_on_postgresql(database: SqliteDatabase, postgresql: Any, text: str) -> None:
    both(database, postgresql, f"select '{text}'::interval, '{text}'::interval::text")


@quick
@given(one=spans, other=spans, factor=st.integers(-12, 12))
def test_intervals_are_reckoned_with_as_on_postgresql(
    database: SqliteDatabase, postgresql: Any, one: str, other: str, factor: int
) -> None:
    left, right = f"'{one}'::interval", f"'{other}'::interval"
    divided = f"{left} / {factor}" if factor else "null"
    both(
        database,
        postgresql,
        f"select {left} + {right}, {left} - {right}, -{left}, {left} < {right}, {left} = {right}, {left} * {factor}, "
        f"{divided}, justify_days({left}), justify_hours({left}), justify_interval({left}), "
        f"extract(epoch from {left}), extract(month from {left}), extract(second from {left}), "
        f"date_trunc('hour', {left}), date_trunc('year', {left})",
    )


@quick
@given(
    one=moments, other=moments, span=spans, zone=st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"])
)
def test_moments_are_reckoned_with_as_on_postgresql(
    database: SqliteDatabase, postgresql: Any, one: datetime, other: datetime, span: str, zone: str
) -> None:
    left, right = f"'{one.isoformat()}'::timestamp", f"'{other.isoformat()}'::timestamp"
    both(
        database,
        postgresql,
        f"select {left} + '{span}'::interval, {left} - '{span}'::interval, {left} - {right}, age({left}, {right}), "
        f"{left}::date - {right}::date, {left}::time - {right}::time, {left}::time + '{span}'::interval, "
        f"date_trunc('week', {left}), date_trunc('century', {left}), extract(epoch from {left}), "
        f"extract(week from {left}), extract(isoyear from {left}), "
        f"to_char({left}, 'YYYY-MM-DD HH12:MI:SS.US am IYYY-IW DDD'), "
        f"{left}::timestamptz at time zone '{zone}'",
    )


@quick
@given(
    local=st.datetimes(datetime(1975, 1, 1), datetime(2036, 1, 1)),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_local_times_are_the_same_moments_as_on_postgresql(
    database: SqliteDatabase, postgresql: Any, local: datetime, zone: str
) -> None:
    both(database, postgresql, f"select '{local.isoformat()}'::timestamp at time zone '{zone}'")


def test_the_hours_around_a_change_of_clocks_are_postgresqls(
    database: SqliteDatabase, postgresql: Any
) -> None:
    for day in (date(2024, 3, 31), date(2024, 10, 27)):
        for minutes in range(0, 300, 15):
            local = f"{day} {minutes // 60:02d}:{minutes % 60:02d}"
            both(database, postgresql, f"select '{local}'::timestamp at time zone 'Europe/Berlin'")
