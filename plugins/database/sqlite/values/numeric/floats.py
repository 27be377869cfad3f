"""Aggregates over floats: added up one after the other as PostgreSQL does it, so that the last digits are the same.

SQLite's own sum() makes up for what rounding loses, and gives other digits.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric import numbers

_SINGLE = struct.Struct("<f")


class Floats(ABC):
    """An aggregate's rows, also of a window that moves: what leaves it has the rest added up anew."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, ...]] = deque()
        self._is_stale = False
        self.clear()

    def step(self, *values: float | None) -> None:
        """Take a row in, if no value is null."""
        if None in values:
            return
        row: tuple[float, ...] = values  # type: ignore[assignment]
        self._rows.append(row)
        if not self._is_stale:
            self.add(*row)

    def inverse(self, *values: float | None) -> None:
        """Take the first row out."""
        if None not in values:
            self._rows.popleft()
            self._is_stale = True

    @property
    def count(self) -> int:
        """The number of rows, of which all are added up."""
        if self._is_stale:
            self._is_stale = False
            self.clear()
            for row in self._rows:
                self.add(*row)
        return len(self._rows)

    @abstractmethod
    def clear(self) -> None:
        """Begin anew."""

    @abstractmethod
    def add(self, *values: float) -> None:
        """Add a row up."""


class FloatSum(Floats):
    """The aggregates sum and avg of ``double precision``."""

    def clear(self) -> None:
        """Begin anew."""
        self._total: float | None = None

    def add(self, *values: float) -> None:
        """Add a number."""
        (value,) = values
        self._total = value if self._total is None else _finite(self._total + value)

    def sum(self) -> float | None:
        """Return the sum."""
        return self._total if self.count else None

    def average(self) -> float | None:
        """Return the mean."""
        count = self.count
        return None if self._total is None else self._total / count


class RealSum(FloatSum):
    """The aggregate sum of ``real``, in single precision."""

    def add(self, *values: float) -> None:
        """Add a number and round the sum."""
        (value,) = values
        super().add(*_SINGLE.unpack(_SINGLE.pack(value)))
        try:
            (self._total,) = _SINGLE.unpack(_SINGLE.pack(self._total))
        except OverflowError:
            raise _overflow() from None

    def sum(self) -> float | None:
        """Return the sum."""
        return numbers.read_real(super().sum())


class Regression(Floats):
    """The aggregates of pairs, of which the second is the independent one: covariance, correlation, regression.

    Sums of squares grow as Youngs and Cramer have them.
    """

    def clear(self) -> None:
        """Begin anew."""
        self._number = 0.0
        self.x = self.y = self.xx = self.yy = self.xy = 0.0

    def add(self, *values: float) -> None:
        """Add a pair."""
        y, x = values
        before = self._number
        self._number += 1.0
        self.x, self.y = _finite(self.x + x), _finite(self.y + y)
        if before > 0:
            rest_x, rest_y = x * self._number - self.x, y * self._number - self.y
            scale = 1.0 / (self._number * before)
            self.xx = _finite(self.xx + rest_x * rest_x * scale)
            self.yy = _finite(self.yy + rest_y * rest_y * scale)
            self.xy = _finite(self.xy + rest_x * rest_y * scale)

    def value_of(self, name: str) -> float | None:
        """Return what the aggregate of that name has found; None where it is not defined."""
        count = self.count
        if name != "regr_count" and count < 1 + (name == "covar_samp"):
            return None
        if name in ("corr", "regr_slope", "regr_intercept", "regr_r2") and self.xx == 0:
            return None
        return _FORMULAS[name](self, float(count))


_FORMULAS: dict[str, Callable[[Regression, float], float | None]] = {
    "corr": lambda of, _: None if of.yy == 0 else of.xy / math.sqrt(of.xx * of.yy),
    "covar_pop": lambda of, count: of.xy / count,
    "covar_samp": lambda of, count: of.xy / (count - 1.0),
    "regr_avgx": lambda of, count: of.x / count,
    "regr_avgy": lambda of, count: of.y / count,
    "regr_count": lambda _, count: int(count),
    "regr_intercept": lambda of, count: (of.y - of.x * of.xy / of.xx) / count,
    "regr_r2": lambda of, _: 1.0 if of.yy == 0 else (of.xy * of.xy) / (of.xx * of.yy),
    "regr_slope": lambda of, _: of.xy / of.xx,
    "regr_sxx": lambda of, _: of.xx,
    "regr_sxy": lambda of, _: of.xy,
    "regr_syy": lambda of, _: of.yy,
}
REGRESSIONS = tuple(_FORMULAS)
"""The names of the aggregates of pairs."""


def _finite(value: float) -> float:
    if math.isinf(value):
        raise _overflow()
    return value


def _overflow() -> DatabaseError:
    return DatabaseError("value out of range: overflow", sqlstate="22003")
