"""Powers, roots and logarithms of floating-point numbers, with PostgreSQL's errors."""

from __future__ import annotations

import math
from collections.abc import Callable

from kernel.contracts.database import DatabaseError


def power(base: float | None, exponent: float | None) -> float | None:
    """Return a power; raises 2201F where it is no real number, 22003 where it is out of range."""
    if base is None or exponent is None:
        return None
    if base == 0 and exponent < 0:
        raise DatabaseError("zero raised to a negative power is undefined", sqlstate="2201F")
    if base < 0 and exponent != int(exponent):
        message = "a negative number raised to a non-integer power yields a complex result"
        raise DatabaseError(message, sqlstate="2201F")
    try:
        return math.pow(base, exponent)
    except OverflowError:
        raise DatabaseError("value out of range: overflow", sqlstate="22003") from None


def square_root(value: float | None) -> float | None:
    """Return a square root; raises 2201F for a negative number."""
    if value is not None and value < 0:
        raise DatabaseError("cannot take square root of a negative number", sqlstate="2201F")
    return None if value is None else math.sqrt(value)


def cube_root(value: float | None) -> float | None:
    """Return a cube root."""
    return None if value is None else math.cbrt(value)


def _logarithm(function: Callable[[float], float]) -> Callable[[float | None], float | None]:
    def apply(value: float | None) -> float | None:
        if value is None:
            return None
        if value <= 0:
            kind = "zero" if value == 0 else "a negative number"
            raise DatabaseError(f"cannot take logarithm of {kind}", sqlstate="2201E")
        return function(value)

    return apply


natural_logarithm = _logarithm(math.log)
common_logarithm = _logarithm(math.log10)
