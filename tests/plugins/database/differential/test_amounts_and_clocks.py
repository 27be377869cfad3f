"""Random money and times of day with an offset: SQLite and PostgreSQL read, compare and compute them alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
cents = st.integers(-300, 300) | st.integers(-(10**7), 10**7) | st.integers(-(2**63), 2**63 - 1)
amounts = cents.map(lambda count: f"{'-' if count < 0 else ''}{abs(count) // 100}.{abs(count) % 100:02d}")
spelled = st.text(st.sampled_from("0159,.$-+() "), max_size=8) | st.from_regex(
    r"-?\$?[0-9]{1,2},?[0-9]?\.[0-9]{2}[4-6][059]?\)?", fullmatch=True
)
wholes = st.integers(-3, 3) | st.integers(-(2**31) + 1, 2**31 - 1)
floats = st.sampled_from(["0.5", "-0.25", "1.005", "0", "3", "1e-3", "1e18"])
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


@st.composite
def clocks(draw: st.DrawFn) -> str:
    """Return the text of a time of day with an offset."""
    hour, minute = draw(st.integers(0, 23)), draw(st.sampled_from([0, 1, 30, 59]))
    rest = draw(st.sampled_from(["", ":00", ":59.999999", ":00.5"]))
    if draw(st.booleans()):  # one moment, seen from different places
        east = draw(st.integers(-5, 5))
        return f"{12 + east:02d}:00{east:+03d}"
    zone = draw(st.sampled_from(["", "+00", "+01", "-01", "+05:30", "-15:59", "+15:59:59", "Z"]))
    return draw(st.sampled_from([f"{hour:02d}:{minute:02d}{rest}{zone}"] * 5 + [f"24:00{zone}"]))


def compare(engines: Any, sql: str) -> None:
    ((ours, theirs),) = engines.outcomes(sql)
    assert (ours.rows, ours.failure, ours.message) == (theirs.rows, theirs.failure, theirs.message), sql


def comparisons(one: str, other: str) -> str:
    return ", ".join(f"{one} {name} {other}" for name in COMPARISONS)


@pytest.mark.parametrize("operation", ["{0} + {1}", "{0} - {1}", "{0} / {1}", "{0} * {2}", "{0} / {2}",
                                       "{0} * {3}", "{0} / {3}", "{0}::numeric, {4}"])  # fmt: skip
@quick
@given(one=amounts, other=amounts, whole=wholes, factor=floats)
def test_amounts_are_computed_and_compared_alike(
    engines: Any, operation: str, one: str, other: str, whole: int, factor: str
) -> None:
    left, right = f"'{one}'::money", f"'{other}'::money"
    arguments = (left, right, f"({whole})", f"'{factor}'::float8", comparisons(left, right))
    compare(engines, f"select {operation.format(*arguments)}")


@quick
@given(text=spelled)
def test_money_is_read_alike(engines: Any, text: str) -> None:
    compare(engines, f"select '{text}'::money")


@quick
@given(values=st.lists(amounts.filter(lambda text: len(text) < 12), max_size=6))
def test_amounts_are_ordered_and_summed_alike(engines: Any, values: list[str]) -> None:
    listed = ", ".join(f"('{value}'::money)" for value in [*values, "0"])
    compare(engines, f"select m, sum(m) over (order by m) from (values {listed}) t(m) order by m")


@quick
@given(values=st.lists(clocks(), min_size=2, max_size=6), span=st.integers(-200_000, 200_000))
def test_times_with_an_offset_are_ordered_and_moved_alike(engines: Any, values: list[str], span: int) -> None:
    one, other = (f"'{value}'::timetz" for value in values[:2])
    moved = f"({one} + interval '{span} seconds')::text, ({one} at time zone 'UTC')::text, {one}::time::text"
    compare(engines, f"select {comparisons(one, other)}, {moved}, extract(epoch from {one})")
    listed = ", ".join(f"('{value}'::timetz)" for value in values)
    compare(engines, f"select t::text from (values {listed}) v(t) order by t")
