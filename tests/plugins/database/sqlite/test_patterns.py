"""Regular expressions: what matches on PostgreSQL matches here, in linear time, or is refused."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.database import SqliteDatabase
from plugins.database.sqlite.values.textual import patterns

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
atoms = st.sampled_from(
    ["a", "b", "é", ".", "[ab]", "[^a]", r"\w", r"\d", r"\s", r"\.", "[[:alpha:]]", "-", " ", "_"]
)
quantified = st.tuples(atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{1,}"])).map("".join)
runs = st.lists(quantified, min_size=1, max_size=4).map("".join)
expressions = st.recursive(
    runs,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        inner.map(lambda one: f"(?:{one})"),
        inner.map(lambda one: f"^{one}"),
        inner.map(lambda one: f"{one}$"),
    ),
    max_leaves=4,
)
subjects = st.text(st.sampled_from("abé1 -_.\nAB"), max_size=8)


def answer(run: Any) -> Any:
    """Return what a statement gives, or the SQLSTATE it fails with."""
    try:
        return run()
    except DatabaseError as error:
        return error.sqlstate
    except psycopg.Error as error:
        return error.sqlstate


@quick
@given(pattern=expressions, subject=subjects, flags=st.sampled_from(["", "i", "n"]))
def test_a_pattern_finds_what_postgresql_finds(
    database: SqliteDatabase, postgresql: Any, pattern: str, subject: str, flags: str
) -> None:
    calls = (
        "regexp_like({0}, {1}, {2}), regexp_replace({0}, {1}, '<\\&>', {2} || 'g'), "
        "regexp_split_to_array({0}, {1}, {2})::text, regexp_match({0}, {1}, {2})::text"
    )
    values = [f"'{value}'" for value in (subject, pattern, flags)]

    def theirs() -> Any:
        with postgresql.undone():
            return postgresql.run(f"select {calls.format(*values)}")

    ours = answer(lambda: database.query(f"select {calls.format(*values)}"))
    assert ours == answer(theirs)


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "a(?=b)", "a(?!b)", "(?<=a)b", r"\mab", "[[.a.]]", "***:a", "(?x)a"]
)
def test_what_needs_backtracking_or_is_rare_is_refused_by_name(
    database: SqliteDatabase, pattern: str
) -> None:
    with pytest.raises(DatabaseError, match="regular expression") as caught:
        database.query("select 'ab' ~ :pattern", {"pattern": pattern})
    assert caught.value.sqlstate == "0A000"


def test_a_match_that_depends_on_mixed_greediness_is_refused(database: SqliteDatabase) -> None:
    assert database.query("select 'abab' ~ 'a.*?b+'") == [(1,)]
    with pytest.raises(DatabaseError, match="greedy"):
        database.query("select regexp_replace('abab', 'a.*?b+', '')")


def test_a_pattern_made_to_backtrack_takes_no_time() -> None:
    began = time.process_time()
    assert patterns.matches("a" * 50_000 + "!", "^(a+)+$") == 0
    assert time.process_time() - began < 1


def test_a_pattern_too_large_is_refused() -> None:
    for pattern in ("a" * 20_000, "((((a{99}){99}){99}){99})"):
        with pytest.raises(DatabaseError) as caught:
            patterns.matches("a", pattern)
        assert caught.value.sqlstate == "2201B"
