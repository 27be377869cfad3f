"""Intervals: months, days and microseconds, kept as PostgreSQL writes them (``1 mon 2 days 03:04:05``)."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import Any, NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import invalid_syntax

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
DAY = 24 * _HOUR
_MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
_DAYS = {"day": 1, "week": 7}
_MICROSECONDS = {
    "microsecond": 1, "millisecond": 1000, "second": _SECOND, "minute": 60 * _SECOND, "hour": _HOUR,
}  # fmt: skip
_UNITS = {
    **{name: name for table in (_MONTHS, _DAYS, _MICROSECONDS) for name in table},
    "mon": "month", "mons": "month", "yr": "year", "yrs": "year", "y": "year", "dec": "decade", "decs": "decade",
    "centuries": "century", "cent": "century", "c": "century", "millennia": "millennium", "mil": "millennium",
    "mils": "millennium", "d": "day", "w": "week", "us": "microsecond", "usec": "microsecond", "usecs": "microsecond",
    "ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "s": "second", "sec": "second",
    "secs": "second", "m": "minute", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour",
}  # fmt: skip
_ISO = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_ISO_CLOCK = {"H": "hour", "M": "minute", "S": "second"}
_SECONDS = ("second", "millisecond", "microsecond")
_TOKEN = re.compile(
    r"\s*(?:(?P<clock>[+-]?\d+:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)"
    r"|(?P<years>[+-]?\d+)-(?P<months>\d{1,2})(?![\d.])"
    r"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*(?P<unit>[A-Za-z]*)"
    r"|(?P<ago>ago)\b)",
    re.ASCII | re.IGNORECASE,
)
_ISO_PART = re.compile(r"([+-]?\d+(?:\.\d*)?)([A-Z])", re.ASCII)


class Interval(NamedTuple):
    """A span of time; a month has no fixed number of days, nor a day of hours."""

    months: int = 0
    days: int = 0
    microseconds: int = 0


def _out_of_range() -> DatabaseError:
    return DatabaseError("interval out of range", sqlstate="22008")


def bounded(found: Interval) -> Interval:
    """Return an interval that PostgreSQL can hold; raises 22008."""
    if abs(found.months) >= 2**31 or abs(found.days) >= 2**31 or abs(found.microseconds) >= 2**63:
        raise _out_of_range()
    return found


class _Sum:
    """Adds up the parts of an interval's text, their fractions handed on to smaller units."""

    def __init__(self) -> None:
        self.months = 0
        self.days = 0
        self.microseconds = Fraction(0)

    def add(self, number: Fraction, unit: str) -> None:
        if unit in _MONTHS:
            self._add_months(number * _MONTHS[unit], year=unit != "month")
        elif unit in _DAYS:
            self._add_days(number * _DAYS[unit])
        else:
            self.microseconds += number * _MICROSECONDS[unit]

    def _add_months(self, months: Fraction, *, year: bool) -> None:
        whole = round(months) if year else int(months)
        self.months += whole
        if not year:
            self._add_days((months - whole) * 30)

    def _add_days(self, days: Fraction) -> None:
        self.days += int(days)
        self.microseconds += (days - int(days)) * DAY

    def interval(self, sign: int = 1) -> Interval:
        return bounded(Interval(sign * self.months, sign * self.days, sign * round(self.microseconds)))


def parse(text: str) -> Interval:
    """Read an interval; raises 22007 for what is none, 22008 for one that is out of range."""
    stripped = text.strip()
    if stripped[:1] in "Pp" and stripped[:1]:
        return _parse_iso(stripped.upper(), text)
    return _parse_words(stripped.removeprefix("@"), text)


def _parse_words(stripped: str, text: str) -> Interval:
    total, place, sign = _Sum(), 0, 1
    seen: list[str] = []
    while place < len(stripped):
        match = _TOKEN.match(stripped, place)
        if match is None or sign < 0:
            raise invalid_syntax("interval", text, "22007")
        place, sign = match.end(), -1 if match["ago"] else 1
        seen += _add_part(total, match, text)
    if not seen or len(set(seen)) != len(seen):
        raise invalid_syntax("interval", text, "22007")
    return total.interval(sign)


def _add_part(total: _Sum, match: re.Match[str], text: str) -> list[str]:
    """Add one part of an interval's text; returns its units, each of which may come once."""
    if match["clock"]:
        _add_clock(total, match["clock"])
        return ["hour", "minute", *_SECONDS]
    if match["years"]:
        minus = -1 if match["years"].startswith("-") else 1
        total.add(Fraction(int(match["years"])), "year")
        total.add(Fraction(minus * int(match["months"])), "month")
        return ["year", "month"]
    if match["number"]:
        unit, number = _unit(match["unit"], text), Fraction(_number(match["number"]))
        total.add(number, unit)
        # Seconds with a fraction take the places of milliseconds and microseconds too.
        return list(_SECONDS) if unit == "second" and number.denominator > 1 else [unit]
    return []


def _number(text: str) -> str:
    return f"{text}0" if text.endswith(".") else text


def _unit(word: str, text: str) -> str:
    name = word.lower()
    unit = _UNITS.get(name) or _UNITS.get(name.removesuffix("s")) or ("second" if not name else None)
    if unit is None:
        raise invalid_syntax("interval", text, "22007")
    return unit


def _add_clock(total: _Sum, clock: str) -> None:
    sign = -1 if clock.startswith("-") else 1
    parts = clock.lstrip("+-").split(":")
    if int(parts[1]) > 59 or (len(parts) > 2 and Fraction(_number(parts[2])) >= 60):
        raise DatabaseError(f'interval field value out of range: "{clock}"', sqlstate="22015")
    for part, unit in zip(parts, ("hour", "minute", "second"), strict=False):
        total.add(sign * Fraction(_number(part)), unit)


def _parse_iso(stripped: str, text: str) -> Interval:
    total = _Sum()
    date, separator, clock = stripped[1:].partition("T")
    if (not date and not clock) or (separator and not clock):
        raise invalid_syntax("interval", text, "22007")
    for piece, units in ((date, _ISO), (clock, _ISO_CLOCK)):
        place = 0
        while place < len(piece):
            match = _ISO_PART.match(piece, place)
            if match is None or match[2] not in units:
                raise invalid_syntax("interval", text, "22007")
            total.add(Fraction(_number(match[1])), units[match[2]])
            place = match.end()
    return total.interval()


def write(interval: Interval) -> str:
    """Write an interval as PostgreSQL does: ``1 year 2 mons -3 days +04:05:06.7``."""
    years, months = divmod(abs(interval.months), 12)
    sign = -1 if interval.months < 0 else 1
    pieces, negative = [], False
    for number, unit in ((sign * years, "year"), (sign * months, "mon"), (interval.days, "day")):
        if number:
            plus = "+" if negative and number > 0 else ""
            pieces.append(f"{plus}{number} {unit}{'' if number == 1 else 's'}")
            negative = number < 0
    if interval.microseconds or not pieces:
        pieces.append(_clock(interval.microseconds, plus=negative))
    return " ".join(pieces)


def _clock(microseconds: int, *, plus: bool) -> str:
    sign = "-" if microseconds < 0 else "+" if plus else ""
    seconds, fraction = divmod(abs(microseconds), _SECOND)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def read(value: Any) -> str | None:
    """Read ``interval`` into the stored form."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid_syntax("interval", value, "22007")
    return write(parse(value))


@functools.lru_cache(maxsize=4096)
def _weight(stored: str) -> int:
    months, days, microseconds = parse(stored)
    return (months * 30 + days) * DAY + microseconds


def compare(left: str, right: str) -> int:
    """Order stored intervals by length, a month being thirty days: the collation of interval columns."""
    if left == right:
        return 0
    try:
        one, other = _weight(left), _weight(right)
    except DatabaseError:  # no interval: only a file that another program wrote to holds such a text
        return -1 if left < right else 1
    return (one > other) - (one < other)


def add(left: str | None, right: str | None) -> str | None:
    """Add two intervals part by part."""
    if left is None or right is None:
        return None
    return write(
        bounded(Interval(*(one + other for one, other in zip(parse(left), parse(right), strict=True))))
    )


def negate(value: str | None) -> str | None:
    """Return an interval with all its parts' signs turned."""
    return None if value is None else write(Interval(*(-part for part in parse(value))))


def subtract(left: str | None, right: str | None) -> str | None:
    """Subtract an interval part by part."""
    return add(left, negate(right))


def multiply(value: str | None, factor: float | None) -> str | None:
    """Multiply an interval; fractions of months become days of a thirtieth, those of days time."""
    if value is None or factor is None:
        return None
    return _scaled(parse(value), lambda part: part * factor)


def divide(value: str | None, divisor: float | None) -> str | None:
    """Divide an interval as `multiply` multiplies; raises 22012 for a divisor of zero."""
    if value is None or divisor is None:
        return None
    if divisor == 0:
        raise DatabaseError("division by zero", sqlstate="22012")
    return _scaled(parse(value), lambda part: part / divisor)


def _scaled(interval: Interval, scale: Any) -> str:
    """Scale each part in floating point, rounding where PostgreSQL's `interval_mul` does."""
    exact_months, exact_days = scale(interval.months), scale(interval.days)
    months, days = int(exact_months), int(exact_days)
    rest_days = round((exact_months - months) * 30, 6)
    seconds = round((exact_days - days + rest_days - int(rest_days)) * 86400, 6)
    if abs(seconds) >= 86400:
        days += int(seconds / 86400)
        seconds -= int(seconds / 86400) * 86400
    days += int(rest_days)
    return write(bounded(Interval(months, days, round(scale(interval.microseconds) + seconds * _SECOND))))


def justify_hours(value: str | None) -> str | None:
    """Return an interval whose 24 hours are days."""
    if value is None:
        return None
    months, days, microseconds = parse(value)
    whole, rest = _towards_zero(microseconds, DAY)
    days += whole
    if days > 0 > rest:
        days, rest = days - 1, rest + DAY
    elif days < 0 < rest:
        days, rest = days + 1, rest - DAY
    return write(Interval(months, days, rest))


def justify_days(value: str | None) -> str | None:
    """Return an interval whose 30 days are months."""
    if value is None:
        return None
    months, days, microseconds = parse(value)
    whole, rest = _towards_zero(days, 30)
    months += whole
    if months > 0 > rest:
        months, rest = months - 1, rest + 30
    elif months < 0 < rest:
        months, rest = months + 1, rest - 30
    return write(Interval(months, rest, microseconds))


def justify_interval(value: str | None) -> str | None:
    """Return an interval whose 24 hours are days and 30 days months, all parts of one sign."""
    if value is None:
        return None
    months, days, clock = parse(value)
    whole, clock = _towards_zero(clock, DAY)
    whole, days = _towards_zero(days + whole, 30)
    months += whole
    if months > 0 and (days, clock) < (0, 0):
        months, days = months - 1, days + 30
    elif months < 0 and (days, clock) > (0, 0):
        months, days = months + 1, days - 30
    if days > 0 > clock:
        days, clock = days - 1, clock + DAY
    elif days < 0 < clock:
        days, clock = days + 1, clock - DAY
    return write(Interval(months, days, clock))


def _towards_zero(value: int, unit: int) -> tuple[int, int]:
    whole = abs(value) // unit * (1 if value >= 0 else -1)
    return whole, value - whole * unit


def make(
    years: int | None, months: int | None, weeks: int | None, days: int | None,
    hours: int | None, minutes: int | None, seconds: float | None,
) -> str | None:  # fmt: skip
    """Return an interval made of parts."""
    if None in (years, months, weeks, days, hours, minutes, seconds):
        return None
    clock = ((hours or 0) * 3600 + (minutes or 0) * 60) * _SECOND + round((seconds or 0) * _SECOND)
    return write(bounded(Interval((years or 0) * 12 + (months or 0), (weeks or 0) * 7 + (days or 0), clock)))


class IntervalSum:
    """The aggregates sum and avg over intervals, also as window functions."""

    def __init__(self) -> None:
        self.count = 0
        self.total = Interval()

    def step(self, value: Any) -> None:
        """Take a row in."""
        if value is not None:
            self.count += 1
            self.total = Interval(*(one + other for one, other in zip(self.total, parse(value), strict=True)))

    def inverse(self, value: Any) -> None:
        """Take a row out, as a moving window does."""
        if value is not None:
            self.count -= 1
            self.total = Interval(*(one - other for one, other in zip(self.total, parse(value), strict=True)))

    def sum(self) -> str | None:
        """Return the sum so far, NULL over no rows."""
        return write(bounded(self.total)) if self.count else None

    def average(self) -> str | None:
        """Return the mean so far, NULL over no rows."""
        return divide(self.sum(), self.count) if self.count else None
