"""Aggregates that look at all values at once: percentiles, variances, bits. The values come as a JSON array."""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric import arithmetic
from plugins.database.sqlite.values.numeric.numbers import EXACT, parse_numeric, write_numeric

_BITS: dict[str, Callable[[int, int], int]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise DatabaseError(f"percentile value {value:g} is not between 0 and 1", sqlstate="22003")
    return value


def percentile_disc(values: str | None, fraction: float | None) -> Any:
    """Return the first value that so large a part of all is not greater than."""
    if values is None or fraction is None:
        return None
    found = msgspec.json.decode(values)
    place = max(math.ceil(_fraction(fraction) * len(found)), 1)
    return found[place - 1] if found else None


def percentile_cont(values: str | None, fraction: Any) -> Any:
    """Return the value at a part of the way, between two where need be; many for an array of parts."""
    if values is None or fraction is None:
        return None
    found = [float(value) for value in msgspec.json.decode(values)]
    if isinstance(fraction, str):
        wanted = msgspec.json.decode(fraction)
        if not found:
            return None
        return msgspec.json.encode([None if one is None else _between(found, one) for one in wanted]).decode()
    return _between(found, fraction)


def _between(values: list[float], fraction: float) -> float | None:
    place = _fraction(fraction) * (len(values) - 1)
    if not values:
        return None
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return low + (place - math.floor(place)) * (high - low)


def mode(values: str | None) -> Any:
    """Return the value that comes most often; of several the first."""
    found = msgspec.json.decode(values or "[]")
    return Counter(found).most_common(1)[0][0] if found else None


def variance(values: str | None, name: str) -> Any:
    """Return a variance or a standard deviation (``stddev``) of a sample (``samp``) or of all (``pop``)."""
    found = [value for value in msgspec.json.decode(values or "[]") if value is not None]
    sample = name.endswith("samp")
    if len(found) < 1 + sample:
        return None
    if isinstance(found[0], float):
        return _of_floats(found, sample=sample, root=name.startswith("stddev"))
    return _of_numbers(
        [parse_numeric(str(one)) for one in found], sample=sample, root=name.startswith("stddev")
    )


def _of_floats(values: list[float], *, sample: bool, root: bool) -> float:
    """Add up as PostgreSQL does (Youngs and Cramer), so that the last digits are the same."""
    count, total, squares = 0.0, 0.0, 0.0
    for value in values:
        count += 1.0
        total += value
        if count > 1.0:
            rest = value * count - total
            squares += rest * rest / (count * (count - 1.0))
    result = squares / (count - 1.0 if sample else count)
    return math.sqrt(result) if root else result


def _of_numbers(values: list[Decimal], *, sample: bool, root: bool) -> str:
    count = len(values)
    total = functools.reduce(EXACT.add, values)
    squares = functools.reduce(EXACT.add, (EXACT.multiply(value, value) for value in values))
    spread = EXACT.subtract(EXACT.multiply(Decimal(count), squares), EXACT.multiply(total, total))
    if spread <= 0:
        return "0"
    divided = arithmetic.divide(write_numeric(spread), str(count * (count - 1 if sample else count)))
    if not root or divided is None:
        return str(divided)
    number = parse_numeric(divided)
    scale = max(0, -int(number.as_tuple().exponent))
    exact = EXACT.copy()
    exact.prec = scale + number.adjusted() + 30
    return write_numeric(exact.sqrt(number).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP))


def bits(values: str | None, word: str) -> int | None:
    """Return all numbers' bits put together by ``and``, ``or`` or ``xor``."""
    found = [value for value in msgspec.json.decode(values or "[]") if value is not None]
    return functools.reduce(_BITS[word], found) if found else None


def exclusive_or(left: int | None, right: int | None) -> int | None:
    """Return the bits that are set in one number only."""
    return None if left is None or right is None else left ^ right


def shifted(value: int | None, count: int | None, width: int) -> int | None:
    """Shift a number of so many bits to the left; what goes beyond is lost."""
    if value is None or count is None:
        return None
    result = (value << (count % max(width, 32))) & ((1 << width) - 1)
    return result - (1 << width) if result >> (width - 1) else result


def greatest_divisor(left: int | None, right: int | None) -> int | None:
    """Return the greatest common divisor."""
    return None if left is None or right is None else math.gcd(left, right)


def least_multiple(left: int | None, right: int | None) -> int | None:
    """Return the least common multiple."""
    return None if left is None or right is None else math.lcm(left, right)
