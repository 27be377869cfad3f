"""The order of ``jsonb`` documents, as PostgreSQL's operator class for B-trees has it.

Source: ``compareJsonbContainers`` in PostgreSQL's ``src/backend/utils/adt/jsonb_util.c``. Null is less than strings,
these than numbers, then booleans, arrays and objects; arrays and objects are compared by their size first. An empty
array that is the whole document is less than any scalar: a mishap that PostgreSQL keeps for the sake of its indexes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.nested.documents import compact, decode


def compare(left: str, right: str) -> int:
    """Compare two stored documents: the collation of ``jsonb``."""
    if left == right:
        return 0
    try:
        one, other = decode(left), decode(right)
    except DatabaseError:  # no document: only a file that another program wrote to holds such a text
        return -1 if left < right else 1
    if [] in (one, other) and not isinstance(one, dict) and not isinstance(other, dict) and one != other:
        return -1 if one == [] else 1
    return _compare(one, other)


def _compare(one: Any, other: Any) -> int:
    mine, theirs = _rank(one), _rank(other)
    if mine != theirs:
        return -1 if mine < theirs else 1
    if isinstance(one, dict):
        return _by_size(_pairs(one), _pairs(other))
    if isinstance(one, list):
        return _by_size(one, other)
    if mine == _NUMBER:
        one, other = Decimal(compact(one)), Decimal(compact(other))
    return 0 if one == other else -1 if one < other else 1


def _by_size(one: list[Any], other: list[Any]) -> int:
    if len(one) != len(other):
        return -1 if len(one) < len(other) else 1
    return next((found for found in map(_compare, one, other) if found), 0)


def _pairs(document: dict[str, Any]) -> list[Any]:
    """Return names and values in turn, in the order in which PostgreSQL keeps them: short names first."""
    encoded = sorted(document, key=lambda name: (len(name.encode()), name.encode()))
    return [part for name in encoded for part in (name, document[name])]


_NUMBER = 2


def _rank(value: Any) -> int:
    if value is None:
        return 0
    if type(value) is str:
        return 1
    if isinstance(value, bool):
        return 3
    if isinstance(value, list):
        return 4
    return 5 if isinstance(value, dict) else _NUMBER
