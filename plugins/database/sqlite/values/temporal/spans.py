"""Arithmetic on dates and times: moments and intervals, ages, time zones."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.temporal import intervals, moments
from plugins.database.sqlite.values.temporal.intervals import DAY, Interval

_MICROSECOND = timedelta(microseconds=1)


def _endless(stored: str) -> bool:
    return stored.endswith("infinity")


def _out_of_range(what: str = "timestamp") -> DatabaseError:
    return DatabaseError(f"{what} out of range", sqlstate="22008")


def written(moment: datetime) -> str:
    """Write a moment as it is stored, with its offset if it has one."""
    return moments.write_timestamptz(moment) if moment.tzinfo else moments.write_timestamp(moment)


def shifted(moment: datetime, interval: Interval, sign: int = 1) -> datetime:
    """Return a moment some months, days and microseconds later; a day that its month lacks becomes its last."""
    try:
        if interval.months:
            place = moment.year * 12 + moment.month - 1 + sign * interval.months
            year, month = place // 12, place % 12 + 1
            last = calendar.monthrange(year, month)[1] if 1 <= year <= 9999 else 0
            moment = moment.replace(year=year, month=month, day=min(moment.day, last))
        return moment + timedelta(days=sign * interval.days, microseconds=sign * interval.microseconds)
    except (OverflowError, ValueError):
        raise _out_of_range() from None


def add(stored: str | None, interval: str | None) -> str | None:
    """Add an interval to a stored timestamp."""
    if stored is None or interval is None or _endless(stored):
        return stored if interval is not None else None
    return written(shifted(moments.to_datetime(stored), intervals.parse(interval)))


def subtract(stored: str | None, interval: str | None) -> str | None:
    """Subtract an interval from a stored timestamp."""
    if stored is None or interval is None or _endless(stored):
        return stored if interval is not None else None
    return written(shifted(moments.to_datetime(stored), intervals.parse(interval), -1))


def difference(left: str | None, right: str | None) -> str | None:
    """Return what lies between two stored timestamps, in days and time."""
    if left is None or right is None:
        return None
    if _endless(left) or _endless(right):
        raise DatabaseError("cannot subtract infinite timestamps", sqlstate="22008")
    elapsed = (moments.to_datetime(left) - moments.to_datetime(right)) // _MICROSECOND
    return intervals.justify_hours(intervals.write(Interval(0, 0, elapsed)))


def add_days(stored: str | None, days: int | None) -> str | None:
    """Return the date some days later."""
    if stored is None or days is None or _endless(stored):
        return stored if days is not None else None
    try:
        return (date.fromisoformat(stored) + timedelta(days=days)).isoformat()
    except OverflowError:
        raise _out_of_range("date") from None


def days_between(left: str | None, right: str | None) -> int | None:
    """Return how many days one date is behind another."""
    if left is None or right is None:
        return None
    if _endless(left) or _endless(right):
        raise DatabaseError("cannot subtract infinite dates", sqlstate="22008")
    return (date.fromisoformat(left) - date.fromisoformat(right)).days


def microseconds(clock: str) -> int:
    """Return how many microseconds a time of day is after midnight."""
    if clock.startswith("24"):
        return DAY
    at = time.fromisoformat(clock)
    return ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond


def add_to_time(clock: str | None, interval: str | None, sign: int) -> str | None:
    """Add an interval's time to a time of day, which begins anew at midnight."""
    if clock is None or interval is None:
        return None
    total = (microseconds(clock) + sign * intervals.parse(interval).microseconds) % DAY
    return moments.write_time((datetime(2000, 1, 1) + timedelta(microseconds=total)).time())


def time_difference(left: str | None, right: str | None) -> str | None:
    """Return what lies between two times of day."""
    if left is None or right is None:
        return None
    return intervals.write(Interval(0, 0, microseconds(left) - microseconds(right)))


def time_as_interval(clock: str | None) -> str | None:
    """Return a time of day as an interval."""
    return None if clock is None else intervals.write(Interval(0, 0, microseconds(clock)))


def age(left: str | None, right: str | None) -> str | None:
    """Return what lies between two timestamps in years, months, days and time, as a calendar counts."""
    if left is None or right is None:
        return None
    if _endless(left) or _endless(right):
        raise DatabaseError("cannot subtract infinite timestamps", sqlstate="22008")
    later, earlier, sign = moments.to_datetime(left), moments.to_datetime(right), 1
    if later < earlier:
        later, earlier, sign = earlier, later, -1
    months = (later.year - earlier.year) * 12 + later.month - earlier.month
    days = later.day - earlier.day
    clock = (later - later.replace(hour=0, minute=0, second=0, microsecond=0)) // _MICROSECOND
    clock -= (earlier - earlier.replace(hour=0, minute=0, second=0, microsecond=0)) // _MICROSECOND
    if clock < 0:
        days, clock = days - 1, clock + DAY
    if days < 0:
        months, days = months - 1, days + calendar.monthrange(earlier.year, earlier.month)[1]
    return intervals.write(Interval(sign * months, sign * days, sign * clock))


def to_zone(zone: str | None, stored: str | None) -> str | None:
    """Return the local time in a zone at a stored moment."""
    if zone is None or stored is None or _endless(stored):
        return stored if zone is not None else None
    try:
        return moments.write_timestamp(
            moments.to_datetime(stored).astimezone(moments.zone(zone)).replace(tzinfo=None)
        )
    except (OverflowError, ValueError):
        raise _out_of_range() from None


def from_zone(zone: str | None, stored: str | None) -> str | None:
    """Return the moment at which it is a local time in a zone; of two the later, as PostgreSQL has it."""
    if zone is None or stored is None or _endless(stored):
        return stored if zone is not None else None
    local = moments.to_datetime(stored).replace(tzinfo=moments.zone(zone))
    again = local.replace(fold=1)
    # Where clocks went back, the hour comes twice: the second time is standard time. Where they went forward, it
    # never came, and the offset before counts.
    chosen = again if again.utcoffset() < local.utcoffset() else local  # type: ignore[operator] # both are aware
    try:
        return moments.write_timestamptz(chosen.astimezone(UTC))
    except (OverflowError, ValueError):
        raise _out_of_range() from None


def from_epoch(seconds: float | None) -> str | None:
    """Return the moment so many seconds after 1970."""
    if seconds is None:
        return None
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1_000_000))
    except OverflowError:
        raise DatabaseError(f'timestamp out of range: "{seconds:g}"', sqlstate="22008") from None
    return moments.write_timestamptz(moment)


def make_date(year: int | None, month: int | None, day: int | None) -> str | None:
    """Return a date made of parts."""
    if year is None or month is None or day is None:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        message = f"date field value out of range: {year}-{month:02d}-{day:02d}"
        raise DatabaseError(message, sqlstate="22008") from None


def make_time(hour: int | None, minute: int | None, second: float | None) -> str | None:
    """Return a time of day made of parts."""
    if hour is None or minute is None or second is None:
        return None
    try:
        return moments.write_time(time(hour, minute, int(second), round(second % 1 * 1_000_000)))
    except ValueError:
        message = f"time field value out of range: {hour}:{minute:02d}:{second:g}"
        raise DatabaseError(message, sqlstate="22008") from None


def make_timestamp(*parts: Any) -> str | None:
    """Return a timestamp made of year, month, day, hour, minute and second."""
    if None in parts:
        return None
    return f"{make_date(*parts[:3])}T{make_time(*parts[3:])}"


def is_finite(stored: str | None) -> int | None:
    """Tell whether a timestamp or date is neither end of time."""
    return None if stored is None else int(not _endless(stored))


def overlap(start: Any, end: Any, other_start: Any, other_end: Any) -> int | None:
    """Tell whether two stretches of time overlap, their later ends excluded; stored forms, which sort by time.

    An end that is NULL is anywhere from the other one on, as PostgreSQL has it.
    """
    first, second = _stretch(start, end), _stretch(other_start, other_end)
    if first is None or second is None:
        return None
    (low, high), (other_low, other_high) = sorted((first, second), key=lambda one: one[0])
    if high is None or (low == other_low and other_high is None):
        return None
    if low == other_low or other_low < high:
        return 1
    return None if other_high is None else 0


def _stretch(start: Any, end: Any) -> tuple[Any, Any] | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        return (end, None) if start is None else (start, None)
    return (end, start) if start > end else (start, end)
