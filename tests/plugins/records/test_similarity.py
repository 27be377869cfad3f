"""The nearest name, as PostgREST suggests it."""

from __future__ import annotations

import pytest

from plugins.records.similarity import nearest

NAMES = ("directors", "roles", "actors", "car_models", "car_dealers")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("role", "roles"),
        ("ROLES", "roles"),
        ("directros", "directors"),
        ("car_models_default", "car_models"),
        ("noclosealternative", None),
        ("x", None),
        ("", None),
        ("---", None),
    ],
)
def test_the_nearest_name(name: str, expected: str | None) -> None:
    assert nearest(name, NAMES) == expected


def test_names_are_compared_by_two_letters_where_none_has_three_in_common() -> None:
    assert nearest("abx", ["yab", "zzzz"]) == "yab"
    assert nearest("abx", ["yab", "-abz"]) == "-abz"
    assert nearest("axb", ["yay", "zzzz"]) is None


def test_a_name_less_like_than_the_least_is_not_suggested() -> None:
    assert nearest("role", ["roles"], least=0.8) == "roles"
    assert nearest("role", ["roles"], least=0.81) is None
