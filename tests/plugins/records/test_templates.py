"""A query's template, and its values apart."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.queries import (
    Comparison,
    Condition,
    Delete,
    Embed,
    Field,
    Insert,
    Is,
    Item,
    Logic,
    Membership,
    Search,
    Select,
    Update,
)
from kernel.contracts.records import Unsupported
from plugins.records.templates import MAX_DEPTH, MAX_VALUES, template


def compare(value: str, operator: Any = "eq", column: str = "a") -> Comparison:
    return Comparison(Field(column), operator, value)


def shape(*conditions: Condition) -> tuple[Any, list[Any]]:
    return template(Select("t", where=conditions))


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
        (Search(Field("a"), "fts", "x"), Search(Field("a"), "wfts", "x")),
        (Search(Field("a"), "fts", "x"), Search(Field("a"), "fts", "x", "english")),
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


def test_embeds_have_their_values_taken_out_too() -> None:
    def query(value: str, inner: str) -> Select:
        child = Embed("c", where=(compare(inner),))
        return Select("t", where=(compare(value),), items=(Item(), Embed("b", items=(child,))))

    first, values = template(query("1", "2"))
    assert (first, values) == (template(query("3", "4"))[0], ["1", "2"])
    deep = Embed("x")
    for _ in range(MAX_DEPTH + 1):
        deep = Embed("x", items=(deep,))
    with pytest.raises(Unsupported, match="deep"):
        template(Select("t", items=(deep,)))


def test_a_limit_is_part_of_a_template_and_how_far_an_offset_goes_is_not() -> None:
    assert template(Select("t", limit=1))[0] != template(Select("t", limit=2))[0]
    assert template(Select("t", offset=1))[0] == template(Select("t", offset=2))[0]
    assert template(Select("t", offset=1))[0] != template(Select("t"))[0]


def test_what_a_write_holds_and_is_checked_for_is_not_part_of_its_template() -> None:
    inserts = Insert("t", ("a",), "[{}]", 1), Insert("t", ("a",), "[{},{}]", 2, single=True)
    assert template(inserts[0]) == template(inserts[1])
    updates = Update("t", ("a",), "{}", max_affected=1), Update("t", ("a",), '{"a":1}')
    assert template(updates[0]) == template(updates[1])
    assert template(Delete("t", where=(compare("1"),)))[1] == ["1"]
