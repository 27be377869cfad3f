"""GREATEST and LEAST: of values that compare as they are kept, and of those that need their type's comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from plugins.database.sqlite.catalogue.kinds import labels_of
from plugins.database.sqlite.values import enums, money, ranges
from plugins.database.sqlite.values.nested import ordering, sequences
from plugins.database.sqlite.values.numeric import numbers
from plugins.database.sqlite.values.temporal import clocks, intervals

_COMPARISONS: dict[str, Callable[[str, str], int]] = {
    "pg_numeric": numbers.compare_numeric,
    "pg_interval": intervals.compare,
    "pg_timetz": clocks.compare,
    "pg_money": money.compare,
    "pg_range": ranges.compare,
    "pg_jsonb": ordering.compare,
    "pg_array": sequences.compare,
}


@functools.lru_cache(maxsize=256)
def comparison(collation: str) -> Callable[[str, str], int]:
    """Return the comparison of a collation's name."""
    labels = labels_of(collation)
    return _COMPARISONS[collation] if labels is None else enums.comparison(labels)


def greatest(*values: Any) -> Any:
    """Return the greatest value that is not NULL."""
    return max((value for value in values if value is not None), default=None)


def least(*values: Any) -> Any:
    """Return the least value that is not NULL."""
    return min((value for value in values if value is not None), default=None)


def greatest_by(collation: str, *values: Any) -> Any:
    """Return the greatest value that is not NULL by a collation; of equal ones the first."""
    return _extreme(comparison(collation), values, 1)


def least_by(collation: str, *values: Any) -> Any:
    """Return the least value that is not NULL by a collation; of equal ones the first."""
    return _extreme(comparison(collation), values, -1)


def _extreme(compare: Callable[[str, str], int], values: tuple[Any, ...], sign: int) -> Any:
    best = None
    for value in values:
        if value is not None and (best is None or compare(str(value), str(best)) == sign):
            best = value
    return best
