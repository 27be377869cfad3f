"""Ranges: all between two bounds, which are in it or not, or are not there; kept as PostgreSQL writes them.

Source: PostgreSQL's manual, chapters "Range Types" and "Range/Multirange Functions and Operators".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric import numbers
from plugins.database.sqlite.values.temporal import moments, spans

SUBTYPES = {
    "int4range": "integer",
    "int8range": "bigint",
    "numrange": "numeric",
    "daterange": "date",
    "tsrange": "timestamp without time zone",
    "tstzrange": "timestamp with time zone",
}
"""What the values of each type of ranges are between."""

_EMPTY = "empty"
_QUOTED = re.compile(r'[\s"\\()\[\],]|^$')
_PART = re.compile(r'"(?:[^"\\]|\\.|"")*"|\\.|[^"\\()\[\],]', re.DOTALL)
_ESCAPED = re.compile(r'\\(.)|"(")|"', re.DOTALL)
_FLAGS = ("[]", "[)", "(]", "()")
_READERS: dict[str, Callable[[Any], Any]] = {
    "int4range": numbers.integer_reader("integer"),
    "int8range": numbers.integer_reader("bigint"),
    "numrange": numbers.read_numeric,
    "daterange": moments.read_date,
    "tsrange": moments.read_timestamp,
    "tstzrange": moments.read_timestamptz,
}


class Bound(NamedTuple):
    """One end of a range: its value (None where there is no end), whether that is in it, and which end it is."""

    value: Any
    included: bool
    is_lower: bool


Bounds = tuple[Bound, Bound] | None
"""Both ends of a range; None is the empty one."""


def read(kind: str, text: Any) -> str | None:
    """Read a range of a kind; raises `DatabaseError` 22P02 for what is none, 22000 for ends in the wrong order."""
    return None if text is None else _write(kind, _parse(kind, str(text)))


def make(kind: str, lower: Any, upper: Any, flags: str | None) -> str:
    """Return the range between two values; raises `DatabaseError` for flags that are none."""
    if flags is None:
        raise DatabaseError("range constructor flags argument must not be null", sqlstate="22000")
    if flags not in _FLAGS:
        hint = 'Valid values are "[]", "[)", "(]", and "()".'
        raise DatabaseError("invalid range bound flags", sqlstate="42601", hint=hint)
    return _write(kind, _bounds(kind, lower, upper, flags))


def holds(kind: str, text: str | None, value: Any) -> int | None:
    """Tell whether a value is in a range."""
    if text is None or value is None:
        return None
    bounds = _parse(kind, text)
    if bounds is None:
        return 0
    lower, upper = Bound(value, True, True), Bound(value, True, False)
    return int(_compare(kind, bounds[0], lower) <= 0 and _compare(kind, bounds[1], upper) >= 0)


def test(name: str, kind: str, left: str | None, right: str | None) -> int | None:
    """Tell whether an operator holds between two ranges."""
    if left is None or right is None:
        return None
    one, other = _parse(kind, left), _parse(kind, right)
    if name in ("@>", "<@"):
        outer, inner = (one, other) if name == "@>" else (other, one)
        return int(inner is None or (outer is not None and _covers(kind, outer, inner)))
    if one is None or other is None:
        return 0
    compare = functools.partial(_compare, kind)
    found = {
        "&&": lambda: compare(one[0], other[1]) <= 0 and compare(other[0], one[1]) <= 0,
        "<<": lambda: compare(one[1], other[0]) < 0,
        ">>": lambda: compare(one[0], other[1]) > 0,
        "&<": lambda: compare(one[1], other[1]) <= 0,
        "&>": lambda: compare(one[0], other[0]) >= 0,
        "-|-": lambda: _meet(kind, one[1], other[0]) or _meet(kind, other[1], one[0]),
    }
    return int(found[name]())


def combine(name: str, kind: str, left: str | None, right: str | None) -> str | None:
    """Return the union, common part or difference of two ranges; raises `DatabaseError` 22000 where it is no range."""
    if left is None or right is None:
        return None
    one, other = _parse(kind, left), _parse(kind, right)
    if name == "*":
        return _write(kind, _common(kind, one, other))
    if one is None or other is None:
        return right if one is None and name != "-" else left
    if name == "-":
        return _write(kind, _difference(kind, one, other))
    apart = _compare(kind, one[0], other[1]) > 0 or _compare(kind, other[0], one[1]) > 0
    if name == "+" and apart and not (_meet(kind, one[1], other[0]) or _meet(kind, other[1], one[0])):
        raise DatabaseError("result of range union would not be contiguous", sqlstate="22000")
    key = functools.cmp_to_key(functools.partial(_compare, kind))
    return _write(kind, (min(one[0], other[0], key=key), max(one[1], other[1], key=key)))


def part(name: str, kind: str, text: str | None) -> Any:
    """Return what a function tells of a range: an end, or whether it is in it, or there at all."""
    if text is None:
        return None
    bounds = _parse(kind, text)
    if name == "isempty":
        return int(bounds is None)
    end, _, asked = name.partition("_")
    if bounds is None:
        return 0 if asked else None
    bound = bounds[end == "upper"]
    return {"": bound.value, "inc": int(bound.included), "inf": int(bound.value is None)}[asked]


def compare(left: str, right: str) -> int:
    """Order two ranges of one type: the empty one is first, then the lower end counts, then the upper."""
    one, other = _sortable(left), _sortable(right)
    if one is None or other is None:
        return (one is not None) - (other is not None)
    lower = _ordered(one[0], other[0], _loosely)
    return lower or _ordered(one[1], other[1], _loosely)


@functools.lru_cache(maxsize=2048)
def _parse(kind: str, text: str) -> Bounds:
    ends = _split(text)
    if ends is None:
        return None
    lower, upper, flags = ends
    reader = _READERS[kind]
    return _bounds(kind, reader(lower), reader(upper), flags)


def _split(text: str) -> tuple[str | None, str | None, str] | None:
    """Return both ends' texts and the kinds of brackets; None is the empty range."""
    stripped = text.strip()
    if stripped.lower() == _EMPTY:
        return None
    if stripped[:1] not in ("[", "("):
        raise _malformed(text, "Missing left parenthesis or bracket.")
    lower, place = _end(stripped, 1)
    if stripped[place : place + 1] != ",":
        raise _malformed(text, "Missing comma after lower bound.")
    upper, place = _end(stripped, place + 1)
    if stripped[place : place + 1] not in ("]", ")"):
        detail = "Too many commas." if stripped[place : place + 1] == "," else "Unexpected end of input."
        raise _malformed(text, detail)
    if place + 1 != len(stripped):
        raise _malformed(text, "Junk after right parenthesis or bracket.")
    return lower, upper, stripped[0] + stripped[place]


def _end(text: str, place: int) -> tuple[str | None, int]:
    start = place
    while (match := _PART.match(text, place)) is not None:
        place = match.end()
    if place == start:
        return None, place
    return _ESCAPED.sub(lambda match: match[1] or match[2] or "", text[start:place]), place


def _bounds(kind: str, lower: Any, upper: Any, flags: str) -> Bounds:
    """Put two ends in order; those of whole numbers and of days become ``[)``, which is one of several ways."""
    first = Bound(lower, flags[0] == "[" and lower is not None, True)
    last = Bound(upper, flags[1] == "]" and upper is not None, False)
    if lower is not None and upper is not None:
        order = _values(kind, lower, upper)
        if order > 0:
            message = "range lower bound must be less than or equal to range upper bound"
            raise DatabaseError(message, sqlstate="22000")
        if order == 0 and not (first.included and last.included):
            return None
    after = _AFTER.get(kind)
    if after is not None:
        if lower is not None and not first.included:
            first = Bound(after(lower), after(lower) != lower, True)
        if last.included and after(upper) != upper:
            last = Bound(after(upper), False, False)
        if first.value is not None and first.value == last.value and not last.included:
            return None
    return first, last


def _day_after(value: str) -> str:
    return spans.add_days(value, 1) or value


def _next(read_: Callable[[Any], Any]) -> Callable[[int], int]:
    return lambda value: int(read_(value + 1))


_AFTER: dict[str, Callable[[Any], Any]] = {
    "int4range": _next(_READERS["int4range"]),
    "int8range": _next(_READERS["int8range"]),
    "daterange": _day_after,
}


def _write(kind: str, bounds: Bounds) -> str:
    if bounds is None:
        return _EMPTY
    lower, upper = bounds
    left, right = "[" if lower.included else "(", "]" if upper.included else ")"
    return f"{left}{_written(kind, lower.value)},{_written(kind, upper.value)}{right}"


def _written(kind: str, value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    if kind in ("tsrange", "tstzrange"):
        text = text.replace("T", " ").replace("+00:00", "+00")
    if _QUOTED.search(text) is None:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


def _values(kind: str, one: Any, other: Any) -> int:
    if kind == "numrange":
        return numbers.compare_numeric(one, other)
    return bool(one > other) - bool(one < other)


def _compare(kind: str, one: Bound, other: Bound) -> int:
    return _ordered(one, other, functools.partial(_values, kind))


def _ordered(one: Bound, other: Bound, values: Callable[[Any, Any], int]) -> int:
    """Order two ends: one that is not there is outside of all, one that is not in its range is inside of it."""
    if one.value is None or other.value is None:
        places = [(-1 if end.is_lower else 1) if end.value is None else 0 for end in (one, other)]
        return (places[0] > places[1]) - (places[0] < places[1])
    order = values(one.value, other.value)
    if order:
        return order
    inside = [0 if end.included else 1 if end.is_lower else -1 for end in (one, other)]
    return (inside[0] > inside[1]) - (inside[0] < inside[1])


def _covers(kind: str, outer: tuple[Bound, Bound], inner: tuple[Bound, Bound]) -> bool:
    return _compare(kind, outer[0], inner[0]) <= 0 and _compare(kind, outer[1], inner[1]) >= 0


def _meet(kind: str, upper: Bound, lower: Bound) -> bool:
    """Tell whether nothing is between an upper end and a lower one, nor in both."""
    if upper.value is None or lower.value is None or upper.included == lower.included:
        return False
    return _values(kind, upper.value, lower.value) == 0


def _common(kind: str, one: Bounds, other: Bounds) -> Bounds:
    if one is None or other is None:
        return None
    key = functools.cmp_to_key(functools.partial(_compare, kind))
    lower, upper = max(one[0], other[0], key=key), min(one[1], other[1], key=key)
    return None if _compare(kind, lower, upper) > 0 else (lower, upper)


def _difference(kind: str, one: tuple[Bound, Bound], other: tuple[Bound, Bound]) -> Bounds:
    common = _common(kind, one, other)
    if common is None:
        return one
    is_first, is_last = _compare(kind, one[0], common[0]) == 0, _compare(kind, one[1], common[1]) == 0
    if is_first and is_last:
        return None
    if not is_first and not is_last:
        raise DatabaseError("result of range difference would not be contiguous", sqlstate="22000")
    if is_first:
        return Bound(common[1].value, not common[1].included, True), one[1]
    return one[0], Bound(common[0].value, not common[0].included, False)


def _sortable(text: str) -> tuple[Bound, Bound] | None:
    ends = _split(text)
    if ends is None:
        return None
    lower, upper, flags = ends
    return Bound(lower, flags[0] == "[", True), Bound(upper, flags[1] == "]", False)


def _loosely(one: str, other: str) -> int:
    """Compare two ends as numbers where they are, and else as moments, whose texts have their order."""
    if "-" in one[1:] or "-" in other[1:] or "infinity" in (one.lstrip("-"), other.lstrip("-")):
        one, other = (_FOREVER.get(text, text) for text in (one, other))
        return (one > other) - (one < other)
    return numbers.compare_numeric(one, other)


_FOREVER = {"infinity": "\U0010ffff", "-infinity": ""}


def _malformed(text: str, detail: str) -> DatabaseError:
    return DatabaseError(f'malformed range literal: "{text}"', sqlstate="22P02", detail=detail)
