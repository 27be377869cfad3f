"""Operations on stored arrays: comparing, finding, joining and cutting; an element is given as an array of its own."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.nested.documents import compact, decode

_encode = msgspec.json.Encoder().encode


def compare(left: str, right: str) -> int:
    """Order stored arrays element by element, nulls last and the shorter first: the collation of array columns."""
    if left == right:
        return 0
    try:
        one, other = decode(left), decode(right)
    except DatabaseError:  # no array: only a file that another program wrote to holds such a text
        return -1 if left < right else 1
    for mine, theirs in zip(one, other, strict=False):
        order = _compare_elements(mine, theirs)
        if order:
            return order
    return (len(one) > len(other)) - (len(one) < len(other))


def _compare_elements(one: Any, other: Any) -> int:
    if one is None or other is None:
        return (one is None) - (other is None)
    mine, theirs = _key(one), _key(other)
    return int(mine > theirs) - int(mine < theirs)


def _same(one: Any, other: Any) -> bool:
    return _compare_elements(one, other) == 0


def _changed(value: str, change: Callable[[list[Any]], list[Any]]) -> str:
    return compact(change(decode(value)))


def append(value: str | None, item: str) -> str:
    """Return an array with an element behind it."""
    return _changed(value or "[]", lambda found: found + decode(item))


def concatenate(left: str | None, right: str | None) -> str | None:
    """Return one array behind the other; NULL adds nothing."""
    if left is None or right is None:
        return left if right is None else right
    return append(left, right)


def remove(value: str | None, item: str) -> str | None:
    """Return an array without the elements that equal one."""
    if value is None:
        return None
    (gone,) = decode(item)
    return _changed(value, lambda found: [one for one in found if not _same(one, gone)])


def replace(value: str | None, item: str, new: str) -> str | None:
    """Return an array with the elements that equal one replaced."""
    if value is None:
        return None
    (old,), (fresh,) = decode(item), decode(new)
    return _changed(value, lambda found: [fresh if _same(one, old) else one for one in found])


def position(value: str | None, item: str, start: int | None = 1) -> int | None:
    """Return the place of the first element that equals one, from `start` on; NULL for none."""
    if value is None:
        return None
    (wanted,), found = decode(item), decode(value)
    places = range(max(start or 1, 1), len(found) + 1)
    return next((place for place in places if _same(found[place - 1], wanted)), None)


def holds(value: str | None, item: Any, wrapped: str) -> int | None:
    """Tell whether an element equals `item` (`wrapped` is an array of it): unknown where NULLs leave it open."""
    if value is None:
        return None
    found = decode(value)
    if item is None:
        return None if found else 0
    if position(value, wrapped) is not None:
        return 1
    return None if None in found else 0


def positions(value: str | None, item: str) -> str | None:
    """Return the places of all elements that equal one."""
    if value is None:
        return None
    (wanted,) = decode(item)
    return _encode([place for place, one in enumerate(decode(value), 1) if _same(one, wanted)]).decode()


def cardinality(value: str | None) -> int | None:
    """Return how many elements there are."""
    return None if value is None else len(decode(value))


def length(value: str | None, dimension: int | None) -> int | None:
    """Return the length of a dimension: NULL for an empty array, and for any dimension but the first."""
    return (cardinality(value) or None) if dimension == 1 else None


def lower_bound(value: str | None, dimension: int | None) -> int | None:
    """Return where a dimension begins: at one."""
    return 1 if length(value, dimension) else None


def slice_of(value: str | None, low: int | None, high: int | None) -> str | None:
    """Return the elements between two places, both included."""
    if value is None or low is None or high is None:
        return None
    return _changed(value, lambda found: found[max(low, 1) - 1 : max(high, 0)])


def trim(value: str | None, count: int | None) -> str | None:
    """Return an array without its last elements; raises 2202E for more than there are."""
    if value is None or count is None:
        return None
    size = len(decode(value))
    if not 0 <= count <= size:
        raise DatabaseError(f"number of elements to trim must be between 0 and {size}", sqlstate="2202E")
    return _changed(value, lambda found: found[: size - count])


def contains(left: str | None, right: str | None) -> int | None:
    """Tell whether every element of `right` is in `left`; NULL is in nothing."""
    if left is None or right is None:
        return None
    held = _keys(left)
    return int(all(key is not None and key in held for key in _keys(right)))


def overlaps(left: str | None, right: str | None) -> int | None:
    """Tell whether the arrays share an element."""
    if left is None or right is None:
        return None
    return int(bool((_keys(left) & _keys(right)) - {None}))


def _keys(value: str) -> set[Any]:
    """Return what elements are equal by."""
    return {_key(item) for item in decode(value)}


def _key(item: Any) -> Any:
    if item is None or type(item) is str:
        return item
    if isinstance(item, (bool, dict, list)):
        return (type(item).__name__, compact(item))
    return Decimal(compact(item))
