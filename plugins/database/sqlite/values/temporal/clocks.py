"""Times of day with an offset from UTC, kept as PostgreSQL writes them: ``10:00:00.5+02``, ``24:00:00-03:30``."""

from __future__ import annotations

from datetime import datetime, timedelta

from plugins.database.sqlite.values.refusals import unsupported
from plugins.database.sqlite.values.temporal import moments, spans


def split(stored: str) -> tuple[str, str]:
    """Return the time and the offset, as texts."""
    place = max(stored.rfind("+"), stored.rfind("-"))
    return stored[:place], stored[place:]


def _length(text: str) -> timedelta:
    hours, minutes, seconds = [*text.split(":"), "0", "0"][:3]
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def offset(text: str) -> timedelta:
    """Return how far a zone is ahead of UTC, given ``+02`` or ``-03:30``."""
    return -_length(text[1:]) if text[0] == "-" else _length(text[1:])


def compare(left: str, right: str) -> int:
    """Order by the time in UTC, and of equal ones those first that are farther east: the columns' collation."""
    one, other = _key(left), _key(right)
    return (one > other) - (one < other)


def _key(stored: str) -> tuple[timedelta, timedelta]:
    clock, zone = split(stored)
    return _length(clock) - offset(zone), -offset(zone)


def to_time(stored: str | None) -> str | None:
    """Return the time without its offset."""
    return None if stored is None else split(stored)[0]


def add(stored: str | None, interval: str | None, sign: int) -> str | None:
    """Add an interval's time, or take it away; a time of day begins anew at midnight."""
    if stored is None or interval is None:
        return None
    clock, zone = split(stored)
    return f"{spans.add_to_time(clock, interval, sign)}{zone}"


def to_zone(zone: str | None, stored: str | None) -> str | None:
    """Return the same time in another zone; raises 0A000 for one whose offset depends on the date."""
    if zone is None or stored is None:
        return None
    ahead = moments.zone(zone).utcoffset(None)
    if ahead is None:
        raise unsupported(
            f'the time zone "{zone}", whose offset depends on the date, for a time without one,'
        )
    clock, own = split(stored)
    at = (_length(clock) - offset(own) + ahead) % timedelta(days=1)
    return f"{moments.write_time((datetime(2000, 1, 1) + at).time())}{moments.write_offset(ahead)}"


def at_date(date: str | None, stored: str | None) -> str | None:
    """Return the moment of a time on a date."""
    if date is None or stored is None:
        return None
    return date if date.endswith("infinity") else moments.read_timestamptz(f"{date} {stored}")
