"""Numbers and booleans: integers with PostgreSQL's ranges, floats, exact numerics as text."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import invalid_syntax, out_of_range, unsupported

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?\s*", re.ASCII)
_SPECIAL = {"nan", "inf", "infinity", "+inf", "+infinity", "-inf", "-infinity"}

_MOST_DIGITS = 131072
_MOST_SCALE = 16383
# Exact for everything PostgreSQL's numeric holds; a context's traps turn a lost digit into an error.
EXACT = Context(prec=_MOST_DIGITS + _MOST_SCALE + 1, Emax=999999, Emin=-999999, traps=[InvalidOperation])

RANGES = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}


def integer_reader(type_name: str) -> Callable[[Any], int | None]:
    """Return the function that reads an integer type from text, or checks a number's range."""
    low, high = RANGES[type_name]

    def read(value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise invalid_syntax(type_name, value)
            number = int(value) if len(value) < 100 else high + 1
            if not low <= number <= high:
                raise out_of_range(type_name, value.strip())
            return number
        if isinstance(value, float):
            if value != value or value in (float("inf"), float("-inf")):
                raise out_of_range(type_name)
            value = round(value)
        if not low <= value <= high:
            raise out_of_range(type_name)
        return int(value)

    return read


def numeric_to_integer(value: Any, type_name: str) -> int | None:
    """Round an exact numeric half away from zero, as a cast to an integer type does."""
    if value is None:
        return None
    low, high = RANGES[type_name]
    number = int(Decimal(value).to_integral_value(rounding=ROUND_HALF_UP, context=EXACT))
    if not low <= number <= high:
        raise out_of_range(type_name)
    return number


def read_double(value: Any) -> float | None:
    """Read ``double precision`` from text or a number."""
    return _read_float(value, "double precision")


def read_real(value: Any) -> float | None:
    """Read ``real``: the shortest decimal of the nearest 4-byte float, so that 0.1 stays 0.1."""
    number = _read_float(value, "real")
    if number is None:
        return None
    try:
        single = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        raise out_of_range("real", value) from None
    return _shortest_single(single)


def widened(value: float | None) -> float | None:
    """Return a value of ``real`` in double precision: what the 4 bytes hold, and not its shortest decimal."""
    return None if value is None else struct.unpack("f", struct.pack("f", value))[0]


@lru_cache(maxsize=256)
def _shortest_single(single: float) -> float:
    for digits in range(6, 10):
        text = f"{single:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == single:
            return float(text)
    return single


def _read_float(value: Any, type_name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value.strip().lower() in _SPECIAL:
            raise unsupported(f'the {type_name} value "{value.strip()}"')
        if not _DECIMAL.fullmatch(value):
            raise invalid_syntax(type_name, value)
        number = float(value)
        if number in (float("inf"), float("-inf")):
            raise DatabaseError(f'"{value.strip()}" is out of range for type {type_name}', sqlstate="22003")
        return number
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise out_of_range(type_name)
    return number


def write_double(value: float | None) -> str | None:
    """Write ``double precision`` as PostgreSQL does: the shortest text that reads back equal, ``1`` for 1.0."""
    return None if value is None else _write_float(value, 15)


def write_real(value: float | None) -> str | None:
    """Write ``real`` as PostgreSQL does; it takes to exponents earlier than ``double precision``."""
    return None if value is None else _write_float(value, 6)


def _write_float(value: float, most: int) -> str:
    number = Decimal(repr(float(value))).normalize()
    exponent = number.adjusted()
    if not number or -4 <= exponent < most:
        return write_numeric(number)
    digits = "".join(map(str, number.as_tuple().digits))
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def parse_numeric(text: str) -> Decimal:
    """Read the text of an exact numeric; raises 22P02, or 22003 beyond PostgreSQL's limits."""
    if not _DECIMAL.fullmatch(text):
        if text.strip().lower() in _SPECIAL:
            raise unsupported(f'the numeric value "{text.strip()}"')
        raise invalid_syntax("numeric", text)
    number = Decimal(text.strip())
    if number and (number.adjusted() >= _MOST_DIGITS or _scale(number) > _MOST_SCALE):
        raise DatabaseError("value overflows numeric format", sqlstate="22003")
    return number if number else abs(number)


def _scale(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def write_numeric(number: Decimal) -> str:
    """Write an exact numeric in plain digits, its scale kept."""
    text = f"{number:f}"
    return text[1:] if text.startswith("-") and not number else text


def read_numeric(value: Any) -> str | None:
    """Read ``numeric`` from text or a number into the stored text."""
    if value is None:
        return None
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return write_numeric(parse_numeric(f"{value:.15g}"))
    return write_numeric(parse_numeric(value))


def fit_numeric(value: str | None, precision: int, scale: int) -> str | None:
    """Round stored numeric text to a column's ``numeric(precision, scale)``; 22003 where it does not fit."""
    if value is None:
        return None
    number = Decimal(value)
    if number and number.adjusted() > precision + 1:
        raise _numeric_overflow(precision, scale)
    rounded = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=EXACT)
    if rounded and rounded.adjusted() >= precision - scale:
        raise _numeric_overflow(precision, scale)
    return write_numeric(rounded)


def _numeric_overflow(precision: int, scale: int) -> DatabaseError:
    limit = f"10^{precision - scale}" if precision != scale else "1"
    return DatabaseError(
        "numeric field overflow",
        sqlstate="22003",
        detail=f"A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}.",
    )


def compare_numeric(left: str, right: str) -> int:
    """Order stored numeric texts by value: the collation of numeric columns."""
    if left == right:
        return 0
    try:
        one, other = Decimal(left), Decimal(right)
    except InvalidOperation:  # not a number: only a file that another program wrote to holds such a text
        return -1 if left < right else 1
    return (one > other) - (one < other)


_TRUE = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"}
_FALSE = {"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"}


def read_boolean(value: Any) -> int | None:
    """Read ``boolean`` from text or an integer into 0 or 1."""
    if value is None:
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE:
            return 1
        if word in _FALSE:
            return 0
        raise invalid_syntax("boolean", value)
    return 1 if value else 0
