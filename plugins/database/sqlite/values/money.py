"""Money: whole cents, kept as PostgreSQL writes them where ``lc_monetary`` is ``C`` or ``en_US``: ``-$1,234.50``.

Source: PostgreSQL's manual, chapter "Monetary Types".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from plugins.database.sqlite.values.numeric import arithmetic, numbers
from plugins.database.sqlite.values.refusals import invalid_syntax, out_of_range

_LITERAL = re.compile(
    r"\s*\$?\s*(?P<sign>[-+(]?)\s*\$?\s*"
    r"(?P<whole>[0-9,]*)(?:\.,*(?P<tenths>[0-9]?),*(?P<cents>[0-9]?),*)?(?P<rest>[0-9]*)(?P<tail>[\s)$+-]*)",
    re.ASCII,
)
_LOW, _HIGH = numbers.RANGES["bigint"]


def read(value: Any) -> str | None:
    """Read ``money`` from text; digits beyond the cents round it, half away from zero."""
    if value is None:
        return None
    match = _LITERAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise invalid_syntax("money", value)
    whole = match["whole"].replace(",", "")
    if len(whole) > 100:
        raise out_of_range("money", value)
    cents = int((whole or "0") + (match["tenths"] or "0") + (match["cents"] or "0"))
    cents += match["rest"][:1] >= "5"
    if match["sign"] in ("-", "(") or "-" in match["tail"]:
        cents = -cents
    if not _LOW <= cents <= _HIGH:
        raise out_of_range("money", value)
    return _write(cents)


def from_number(value: Any, counted: str) -> str | None:
    """Return so many dollars, given as a whole number or an exact one; `counted` is the type that is out of range."""
    if value is None:
        return None
    cents = numbers.numeric_to_integer(numbers.EXACT.multiply(Decimal(value), Decimal(100)), counted)
    return None if cents is None else _write(cents)


def total(value: Any) -> str | None:
    """Return a sum of dollars, given as an exact number."""
    return None if value is None else _checked(int(Decimal(value).scaleb(2, context=numbers.EXACT)))


def to_number(stored: str | None) -> str | None:
    """Return stored money as the exact number of dollars."""
    return None if stored is None else stored.replace("$", "").replace(",", "")


def compare(left: str, right: str) -> int:
    """Order stored money by amount: the collation of its columns."""
    try:
        one, other = _cents(left), _cents(right)
    except ValueError:  # no money: only a file that another program wrote to holds such a text
        return (left > right) - (left < right)
    return (one > other) - (one < other)


def add(left: str | None, right: str | None) -> str | None:
    """Return the sum of two amounts."""
    return None if left is None or right is None else _checked(_cents(left) + _cents(right))


def subtract(left: str | None, right: str | None) -> str | None:
    """Return the difference of two amounts."""
    return None if left is None or right is None else _checked(_cents(left) - _cents(right))


def multiply(stored: str | None, factor: float | None) -> str | None:
    """Return an amount so many times; in floating point, a half of a cent becomes an even one."""
    return None if stored is None or factor is None else _checked(_cents(stored) * factor)


def divide(stored: str | None, divisor: float | None) -> str | None:
    """Return a part of an amount: cut off for a whole divisor, else rounded as a product is."""
    return (
        None if stored is None or divisor is None else _checked(arithmetic.quotient(_cents(stored), divisor))
    )


def ratio(left: str | None, right: str | None) -> float | None:
    """Return how many times one amount is in another."""
    if left is None or right is None:
        return None
    return float(arithmetic.quotient(float(_cents(left)), float(_cents(right))))


def _cents(stored: str) -> int:
    return int(stored.replace("$", "").replace(",", "").replace(".", ""))


def _checked(cents: float) -> str:
    if not _LOW <= cents <= _HIGH:
        raise out_of_range("money")
    return _write(round(cents))


def _write(cents: int) -> str:
    dollars, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${dollars:,}.{rest:02d}"
