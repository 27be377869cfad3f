"""Shapes and the cache of their plans."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Compiled
from kernel.contracts.queries import Comparison, Condition, Field, Is, Logic, Membership
from kernel.contracts.records import Unsupported
from plugins.records.plans import MAX_DEPTH, MAX_VALUES, Plan, PlanCache, shape_of


def compare(value: str, operator: Any = "eq", column: str = "a") -> Comparison:
    return Comparison(Field(column), operator, value)


def shape(*conditions: Condition) -> tuple[Any, list[Any]]:
    values: list[Any] = []
    return shape_of(conditions, values), values


def test_values_are_not_part_of_a_shape() -> None:
    first, values = shape(compare("1"), Logic("or", (compare("2"), Membership(Field("b"), ("3", "4")))))
    second, others = shape(compare("5"), Logic("or", (compare("6"), Membership(Field("b"), ("7",)))))
    assert first == second
    assert (values, others) == (["1", "2", ("3", "4")], ["5", "6", ("7",)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (compare("1"), compare("1", "neq")),
        (compare("1"), compare("1", column="b")),
        (compare("1"), Comparison(Field("a"), "eq", "1", negated=True)),
        (compare("1"), Comparison(Field("a"), "eq", "1", quantifier="any")),
        (compare("1"), Membership(Field("a"), ("1",))),
        (Is(Field("a"), "null"), Is(Field("a"), "true")),
        (Logic("or", (compare("1"),)), Logic("and", (compare("1"),))),
        (Logic("or", (compare("1"),)), Logic("or", (compare("1"),), negated=True)),
        (Membership(Field("a"), ()), Membership(Field("a"), (), negated=True)),
    ],
)
def test_everything_else_is(one: Condition, other: Condition) -> None:
    assert shape(one)[0] != shape(other)[0]


def test_too_deep_and_too_many_conditions_are_refused() -> None:
    deep: Condition = compare("1")
    for _ in range(MAX_DEPTH + 1):
        deep = Logic("and", (deep,))
    with pytest.raises(Unsupported, match="deep"):
        shape(deep)
    with pytest.raises(Unsupported, match="at most"):
        shape(*[compare("1")] * (MAX_VALUES + 1))


def plan(slots: int = 0) -> Plan:
    return Plan(Compiled("select 1"), tuple((f"v{i}", None) for i in range(slots)))


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = PlanCache(Catalogue(1, {}), 2)
    cache.put("a", plan())
    cache.put("b", plan())
    assert cache.get("a") is not None
    cache.put("c", plan())
    assert (cache.get("b"), len(cache)) == (None, 2)
    assert cache.get("a") is not None


def test_giant_shapes_are_not_kept() -> None:
    cache = PlanCache(Catalogue(1, {}), 2)
    cache.put("a", plan(slots=500))
    assert len(cache) == 0
