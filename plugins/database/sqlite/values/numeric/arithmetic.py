"""Arithmetic on exact numerics, with the scales that PostgreSQL gives its results."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric.numbers import EXACT, parse_numeric, write_numeric

# PostgreSQL keeps numerics in groups of four digits and wants sixteen significant ones from a division.
_GROUP, _SIGNIFICANT, _MOST_SCALE = 4, 16, 1000


def _division_by_zero() -> DatabaseError:
    return DatabaseError("division by zero", sqlstate="22012")


def quotient(left: Any, right: Any) -> Any:
    """Divide whole numbers towards zero, floats as they are; raises 22012 for a divisor of zero."""
    if left is None or right is None:
        return None
    if right == 0:
        raise _division_by_zero()
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def modulo(left: Any, right: Any) -> Any:
    """Return what a division of whole numbers towards zero leaves; raises 22012 for a divisor of zero."""
    if left is None or right is None:
        return None
    if right == 0:
        raise _division_by_zero()
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _scale(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _fixed(number: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> str:
    return write_numeric(number.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=EXACT))


def _binary(function: Callable[[Decimal, Decimal], str]) -> Callable[[Any, Any], str | None]:
    def apply(left: Any, right: Any) -> str | None:
        if left is None or right is None:
            return None
        return function(parse_numeric(str(left)), parse_numeric(str(right)))

    return apply


add = _binary(lambda left, right: write_numeric(EXACT.add(left, right)))
subtract = _binary(lambda left, right: write_numeric(EXACT.subtract(left, right)))
multiply = _binary(lambda left, right: write_numeric(EXACT.multiply(left, right)))


def _leading_group(number: Decimal) -> tuple[int, int]:
    """Return the place and the value of a numeric's first group of four digits."""
    if not number:
        return 0, 0
    place = number.adjusted() // _GROUP
    return place, int(abs(number).scaleb(-place * _GROUP, context=EXACT))


def _quotient_scale(left: Decimal, right: Decimal) -> int:
    left_place, left_group = _leading_group(left)
    right_place, right_group = _leading_group(right)
    weight = left_place - right_place - (1 if left_group <= right_group else 0)
    wanted = _SIGNIFICANT - weight * _GROUP
    return min(max(wanted, _scale(left), _scale(right), 0), _MOST_SCALE)


def _quotient(left: Decimal, right: Decimal) -> str:
    if not right:
        raise _division_by_zero()
    scale = _quotient_scale(left, right)
    # Whole numbers divide exactly; the remainder then decides the last digit.
    numerator, denominator = left.scaleb(scale, context=EXACT), right
    shift = max(_scale(numerator), _scale(denominator))
    one, other = (
        abs(int(numerator.scaleb(shift, context=EXACT))),
        abs(int(denominator.scaleb(shift, context=EXACT))),
    )
    whole, rest = divmod(one, other)
    if rest * 2 >= other:
        whole += 1
    sign = -1 if (left < 0) != (right < 0) else 1
    return write_numeric(Decimal(sign * whole).scaleb(-scale, context=EXACT))


divide = _binary(_quotient)


def _rest(left: Decimal, right: Decimal) -> str:
    if not right:
        raise _division_by_zero()
    scale = max(_scale(left), _scale(right))
    one, other = int(left.scaleb(scale, context=EXACT)), int(right.scaleb(scale, context=EXACT))
    rest = abs(one) % abs(other)
    return write_numeric(Decimal(-rest if one < 0 else rest).scaleb(-scale, context=EXACT))


remainder = _binary(_rest)


def absolute(value: Any) -> str | None:
    """Return a numeric without its sign."""
    return None if value is None else str(value).removeprefix("-")


def round_to(value: Any, scale: Any) -> str | None:
    """Round a numeric half away from zero to `scale` digits; a negative scale rounds before the point."""
    if value is None or scale is None:
        return None
    number = parse_numeric(str(value))
    bounded = max(-_MOST_SCALE, min(int(scale), _MOST_SCALE))
    if bounded >= 0:
        return _fixed(number, bounded)
    return write_numeric(
        Decimal(_fixed(number.scaleb(bounded, context=EXACT), 0)).scaleb(-bounded, context=EXACT)
    )


def ceiling(value: Any) -> str | None:
    """Return the nearest whole numeric that is not less."""
    return None if value is None else _fixed(parse_numeric(str(value)), 0, ROUND_CEILING)


def floor(value: Any) -> str | None:
    """Return the nearest whole numeric that is not greater."""
    return None if value is None else _fixed(parse_numeric(str(value)), 0, ROUND_FLOOR)


def truncate(value: Any, scale: Any) -> str | None:
    """Cut a numeric after `scale` digits."""
    if value is None or scale is None:
        return None
    return _fixed(parse_numeric(str(value)), max(0, min(int(scale), _MOST_SCALE)), ROUND_DOWN)


def _whole_quotient(left: Decimal, right: Decimal) -> str:
    if not right:
        raise _division_by_zero()
    return write_numeric(EXACT.divide_int(left, right))


whole_quotient = _binary(_whole_quotient)


def sign(value: Any) -> str | None:
    """Return -1, 0 or 1."""
    if value is None:
        return None
    number = parse_numeric(str(value))
    return str((number > 0) - (number < 0))


class NumericSum:
    """The aggregates sum and avg over exact numbers, also as window functions."""

    def __init__(self) -> None:
        self.count = 0
        self.total = Decimal(0)
        self.scales: dict[int, int] = {}

    def step(self, value: Any) -> None:
        """Take a row in."""
        if value is None:
            return
        number = parse_numeric(str(value))
        self.count += 1
        self.total = EXACT.add(self.total, number)
        scale = _scale(number)
        self.scales[scale] = self.scales.get(scale, 0) + 1

    def inverse(self, value: Any) -> None:
        """Take a row out, as a moving window does."""
        if value is None:
            return
        number = parse_numeric(str(value))
        self.count -= 1
        self.total = EXACT.subtract(self.total, number)
        scale = _scale(number)
        self.scales[scale] -= 1
        if not self.scales[scale]:
            del self.scales[scale]

    def _sum(self) -> Decimal:
        return Decimal(_fixed(self.total, max(self.scales, default=0)))

    def sum(self) -> str | None:
        """Return the sum so far, NULL over no rows."""
        return write_numeric(self._sum()) if self.count else None

    def average(self) -> str | None:
        """Return the mean so far, NULL over no rows."""
        return _quotient(self._sum(), Decimal(self.count)) if self.count else None
