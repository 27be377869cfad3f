"""Fields of moments and intervals: cutting to a unit, and taking one out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric.numbers import write_numeric
from plugins.database.sqlite.values.temporal import clocks, intervals, moments, spans
from plugins.database.sqlite.values.temporal.intervals import DAY, Interval

_SYNONYMS = {
    "years": "year", "y": "year", "yr": "year", "months": "month", "mon": "month", "mons": "month", "days": "day",
    "d": "day", "hours": "hour", "h": "hour", "hr": "hour", "minutes": "minute", "min": "minute", "mins": "minute",
    "m": "minute", "seconds": "second", "sec": "second", "secs": "second", "s": "second", "weeks": "week",
    "w": "week", "quarters": "quarter", "qtr": "quarter", "millisecond": "milliseconds", "ms": "milliseconds",
    "microsecond": "microseconds", "us": "microseconds", "decades": "decade", "centuries": "century",
    "millennia": "millennium",
}  # fmt: skip


def _unit(field: str) -> str:
    name = field.strip().lower()
    return _SYNONYMS.get(name, name)


def _unknown(field: str, type_name: str) -> DatabaseError:
    return DatabaseError(f'unit "{field}" not recognized for type {type_name}', sqlstate="22023")


_TRUNCATED: dict[str, Callable[[datetime], datetime]] = {
    "microseconds": lambda moment: moment,
    "milliseconds": lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000),
    "second": lambda moment: moment.replace(microsecond=0),
    "minute": lambda moment: moment.replace(second=0, microsecond=0),
    "hour": lambda moment: moment.replace(minute=0, second=0, microsecond=0),
    "day": lambda moment: _midnight(moment),
    "week": lambda moment: _midnight(moment) - timedelta(days=moment.weekday()),
    "month": lambda moment: _midnight(moment).replace(day=1),
    "quarter": lambda moment: _midnight(moment).replace(day=1, month=(moment.month - 1) // 3 * 3 + 1),
    "year": lambda moment: _midnight(moment).replace(day=1, month=1),
    "decade": lambda moment: _midnight(moment).replace(day=1, month=1, year=max(moment.year // 10 * 10, 1)),
    "century": lambda moment: _midnight(moment).replace(
        day=1, month=1, year=(moment.year - 1) // 100 * 100 + 1
    ),
    "millennium": lambda moment: _midnight(moment).replace(
        day=1, month=1, year=(moment.year - 1) // 1000 * 1000 + 1
    ),
}


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def date_trunc(field: str | None, stored: str | None) -> str | None:
    """Cut a stored timestamp to a unit."""
    if field is None or stored is None or stored.endswith("infinity"):
        return stored if field is not None else None
    moment = moments.to_datetime(stored)
    cut = _TRUNCATED.get(_unit(field))
    if cut is None:
        raise _unknown(field, moments.TIMESTAMPTZ if moment.tzinfo else moments.TIMESTAMP)
    moment = cut(moment)
    return moments.write_timestamptz(moment) if moment.tzinfo else moments.write_timestamp(moment)


def date_trunc_in(field: str | None, stored: str | None, zone: str | None) -> str | None:
    """Cut a stored moment to a unit of the local time in a zone."""
    return spans.from_zone(zone, date_trunc(field, spans.to_zone(zone, stored)))


_INTERVAL_UNITS = ("microseconds", "milliseconds", "second", "minute", "hour")
_INTERVAL_SIZES = (1, 1000, 1_000_000, 60_000_000, 3_600_000_000)
_INTERVAL_MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}


def interval_trunc(field: str | None, stored: str | None) -> str | None:
    """Cut an interval to a unit."""
    if field is None or stored is None:
        return None
    months, days, clock = intervals.parse(stored)
    unit = _unit(field)
    if unit in _INTERVAL_MONTHS:
        return intervals.write(Interval(_cut(months, _INTERVAL_MONTHS[unit])))
    if unit == "day":
        return intervals.write(Interval(months, days))
    if unit not in _INTERVAL_UNITS:
        raise _unknown(field, "interval")
    return intervals.write(Interval(months, days, _cut(clock, _INTERVAL_SIZES[_INTERVAL_UNITS.index(unit)])))


def _cut(value: int, size: int) -> int:
    return abs(value) // size * size * (1 if value >= 0 else -1)


def extract(field: str | None, stored: str | None) -> str | None:
    """Return one field of a stored timestamp or date as an exact numeric."""
    if field is None or stored is None or stored.endswith("infinity"):
        return None
    moment, is_date = moments.to_datetime(stored), len(stored) == 10
    read = _FIELDS.get(_unit(field))
    if read is None or (is_date and _unit(field) in _CLOCK):
        type_name = "date" if is_date else moments.TIMESTAMPTZ if moment.tzinfo else moments.TIMESTAMP
        if read is None and _unit(field) not in ("timezone",):
            raise _unknown(field, type_name)
        raise DatabaseError(f'unit "{field}" not supported for type {type_name}', sqlstate="0A000")
    return write_numeric(Decimal(read(moment, is_date)))


def extract_interval(field: str | None, stored: str | None) -> str | None:
    """Return one field of an interval as an exact numeric."""
    if field is None or stored is None:
        return None
    interval, unit = intervals.parse(stored), _unit(field)
    if unit in ("year", "month", "quarter", "decade", "century", "millennium"):
        years, months = _signed_divmod(interval.months, 12)
        found = {"year": years, "month": months, "quarter": months // 3 + 1}.get(unit)
        size = {"decade": 10, "century": 100, "millennium": 1000}.get(unit, 1)
        return str(found if found is not None else _signed_divmod(years, size)[0])
    if unit == "day":
        return str(interval.days)
    if unit == "epoch":
        years, months = _signed_divmod(interval.months, 12)
        days = years * Decimal("365.25") + months * 30 + interval.days
        return _fixed(int(days * DAY) + interval.microseconds, 1_000_000, 6)
    return _extract_clock(field, unit, interval.microseconds, "interval")


def extract_time(field: str | None, stored: str | None) -> str | None:
    """Return one field of a time of day as an exact numeric."""
    if field is None or stored is None:
        return None
    clock = spans.microseconds(stored)
    if _unit(field) == "epoch":
        return _fixed(clock, 1_000_000, 6)
    return _extract_clock(field, _unit(field), clock, moments.TIME)


def extract_timetz(field: str | None, stored: str | None) -> str | None:
    """Return one field of a time of day with an offset as an exact numeric."""
    if field is None or stored is None:
        return None
    clock, zone = clocks.split(stored)
    ahead = round(clocks.offset(zone).total_seconds())
    hours, rest = _signed_divmod(ahead, 3600)
    unit = _unit(field)
    if unit == "epoch":
        return _fixed(spans.microseconds(clock) - ahead * 1_000_000, 1_000_000, 6)
    zones = {"timezone": ahead, "timezone_hour": hours, "timezone_minute": _signed_divmod(rest, 60)[0]}
    if unit in zones:
        return str(zones[unit])
    return _extract_clock(field, unit, spans.microseconds(clock), moments.TIMETZ)


def _extract_clock(field: str, unit: str, clock: int, type_name: str) -> str:
    hours, rest = _signed_divmod(clock, 3_600_000_000)
    minutes, rest = _signed_divmod(rest, 60_000_000)
    if unit in ("hour", "minute"):
        return str(hours if unit == "hour" else minutes)
    if unit == "second":
        return _fixed(rest, 1_000_000, 6)
    if unit == "milliseconds":
        return _fixed(rest, 1000, 3)
    if unit == "microseconds":
        return str(rest)
    raise _unknown(field, type_name)


def _signed_divmod(value: int, size: int) -> tuple[int, int]:
    sign = 1 if value >= 0 else -1
    whole, rest = divmod(abs(value), size)
    return sign * whole, sign * rest


def _fixed(value: int, size: int, digits: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // size}.{abs(value) % size:0{digits}d}"


def _epoch(moment: datetime, is_date: bool) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    elapsed = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return str(elapsed // 1_000_000) if is_date else _fixed(elapsed, 1_000_000, 6)


_CLOCK = frozenset({"hour", "minute", "second", "milliseconds", "microseconds"})
_FIELDS: dict[str, Callable[[datetime, bool], str]] = {
    "millennium": lambda moment, is_date: str((moment.year - 1) // 1000 + 1),
    "century": lambda moment, is_date: str((moment.year - 1) // 100 + 1),
    "decade": lambda moment, is_date: str(moment.year // 10),
    "year": lambda moment, is_date: str(moment.year),
    "isoyear": lambda moment, is_date: str(moment.isocalendar().year),
    "month": lambda moment, is_date: str(moment.month),
    "day": lambda moment, is_date: str(moment.day),
    "hour": lambda moment, is_date: str(moment.hour),
    "minute": lambda moment, is_date: str(moment.minute),
    "second": lambda moment, is_date: f"{moment.second}.{moment.microsecond:06d}",
    "milliseconds": lambda moment, is_date: _fixed(moment.second * 1_000_000 + moment.microsecond, 1000, 3),
    "microseconds": lambda moment, is_date: str(moment.second * 1_000_000 + moment.microsecond),
    "dow": lambda moment, is_date: str(moment.isoweekday() % 7),
    "isodow": lambda moment, is_date: str(moment.isoweekday()),
    "doy": lambda moment, is_date: str((moment.date() - date(moment.year, 1, 1)).days + 1),
    "week": lambda moment, is_date: str(moment.isocalendar().week),
    "quarter": lambda moment, is_date: str((moment.month - 1) // 3 + 1),
    "epoch": _epoch,
}
