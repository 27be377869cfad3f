"""Ranges of random ends: SQLite and PostgreSQL do the same with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

VALUES = {
    "int4range": st.integers(-3, 3).map(str) | st.sampled_from(["2147483647", "-2147483648"]),
    "numrange": st.sampled_from(["-1.5", "0", "0.0", "1", "1.50", "10", "9"]),
    "daterange": st.sampled_from(["2023-12-31", "2024-01-01", "2024-01-02", "infinity", "-infinity"]),
    "tsrange": st.sampled_from(["2024-01-01", "2024-01-01 00:00:01", "2023-01-01T10:00", "infinity"]),
}
TESTS = ("@>", "<@", "&&", "<<", ">>", "&<", "&>", "-|-", "=", "<>", "<", "<=", ">", ">=")
TOLD = ("lower", "upper", "isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")


@st.composite
def ranges(draw: st.DrawFn, kind: str) -> str:
    """Return a range's text; its ends may be in the wrong order."""
    ends = [draw(st.just("") | VALUES[kind] | VALUES[kind]) for _ in range(2)]
    text = f"{draw(st.sampled_from('[('))}{','.join(ends)}{draw(st.sampled_from('])'))}"
    return draw(st.sampled_from([text] * 9 + ["empty"]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """Return a type, two of its ranges and a value."""
    kind = draw(st.sampled_from(list(VALUES)))
    return kind, draw(ranges(kind)), draw(ranges(kind)), draw(VALUES[kind])


@pytest.mark.parametrize("part", ["tests", "told", "union", "common", "difference"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(pair=pairs())
def test_ranges_are_compared_and_combined_alike(
    engines: Any, part: str, pair: tuple[str, str, str, str]
) -> None:
    kind, one, other, value = pair
    both = f"'{one}'::{kind}", f"'{other}'::{kind}"
    subtype = {"int4range": "int", "numrange": "numeric", "daterange": "date", "tsrange": "timestamp"}[kind]
    selected = {
        "tests": ", ".join(
            [f"{both[0]} {name} {both[1]}" for name in TESTS] + [f"{both[0]} @> '{value}'::{subtype}"]
        ),
        "told": ", ".join([f"{name}({both[0]})" for name in TOLD] + [f"({both[0]})::text"]),
        "union": f"({both[0]} + {both[1]})::text",
        "common": f"({both[0]} * {both[1]})::text, range_merge({both[0]}, {both[1]})::text",
        "difference": f"({both[0]} - {both[1]})::text",
    }[part]
    ((ours, theirs),) = engines.outcomes(f"select {selected}")
    assert (ours.rows, ours.failure, ours.message) == (theirs.rows, theirs.failure, theirs.message), selected
