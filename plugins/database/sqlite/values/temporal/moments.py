"""Dates and times: read in ISO 8601 and PostgreSQL's own form, kept as text that sorts by time.

A stored ``timestamp with time zone`` is UTC, ``2024-01-01T00:00:00+00:00``, with a fraction of up to six digits
without trailing zeros. Such texts compare as the moments do, because ``+`` sorts before ``.`` and ``.`` before
digits; so do ``infinity`` and ``-infinity``. It is also the form PostgreSQL writes into JSON.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import invalid_syntax

_DATE = r"(?P<year>\d{4,6})-(?P<month>\d{1,2})-(?P<day>\d{1,2})|(?P<compact>\d{8})"
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d*))?)?"
_ZONE = r"(?P<zone>[zZ]|[+-]\d{1,2}(?::?\d{2}(?::?\d{2})?)?|[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)"
_MOMENT = re.compile(rf"\s*(?:{_DATE})(?:(?:[Tt]|\s+){_TIME})?\s*(?:{_ZONE})?\s*", re.ASCII)
_CLOCK = re.compile(rf"\s*{_TIME}\s*(?:{_ZONE})?\s*", re.ASCII)

_SPECIAL = {
    "infinity": "infinity",
    "-infinity": "-infinity",
    "epoch": "epoch",
}

TIMESTAMPTZ = "timestamp with time zone"
TIMESTAMP = "timestamp without time zone"
DATE = "date"
TIME = "time without time zone"
TIMETZ = "time with time zone"


def read_timestamptz(value: Any) -> str | None:
    """Read ``timestamp with time zone``; without an offset it is UTC, the session's zone on SQLite."""
    if value is None:
        return None
    special = _special(value, TIMESTAMPTZ)
    if special is not None:
        return write_timestamptz(datetime(1970, 1, 1, tzinfo=UTC)) if special == "epoch" else special
    moment, zone = _moment(value, TIMESTAMPTZ)
    try:
        return write_timestamptz(moment.replace(tzinfo=zone or UTC).astimezone(UTC))
    except (OverflowError, ValueError):
        raise DatabaseError(f'timestamp out of range: "{value}"', sqlstate="22008") from None


def read_timestamp(value: Any) -> str | None:
    """Read ``timestamp without time zone``; an offset in the text is ignored, as PostgreSQL does."""
    if value is None:
        return None
    special = _special(value, TIMESTAMP)
    if special is not None:
        return "1970-01-01T00:00:00" if special == "epoch" else special
    return write_timestamp(_moment(value, TIMESTAMP)[0])


def read_date(value: Any) -> str | None:
    """Read ``date``; a time in the text is ignored, as PostgreSQL does."""
    if value is None:
        return None
    special = _special(value, DATE)
    if special is not None:
        return "1970-01-01" if special == "epoch" else special
    return _moment(value, DATE)[0].date().isoformat()


def read_time(value: Any) -> str | None:
    """Read ``time without time zone``."""
    if value is None:
        return None
    return _write_clock(_clock(_match_clock(_text(value, TIME), "time"), value))


def read_timetz(value: Any) -> str | None:
    """Read ``time with time zone``; without an offset it is UTC, and a zone with a history needs a date."""
    if value is None:
        return None
    match = _match_clock(_text(value, TIMETZ), TIMETZ)
    clock = _clock(match, value)
    if "year" in match.re.groupindex:
        moment, found = _moment(value, TIMETZ)
    else:
        moment, found = None, _zone(match["zone"], value, TIMETZ)
    offset = (found or UTC).utcoffset(moment)
    if offset is None:
        raise invalid_syntax(TIMETZ, value, "22007")
    return _write_clock(clock) + write_offset(offset)


def write_offset(offset: timedelta) -> str:
    """Write how far a zone is ahead of UTC as PostgreSQL does: ``+02``, ``-03:30``."""
    minutes, seconds = divmod(abs(offset).seconds, 60)
    text = f"{'-' if offset < timedelta() else '+'}{minutes // 60:02d}"
    if minutes % 60 or seconds:
        text += f":{minutes % 60:02d}"
    return f"{text}:{seconds:02d}" if seconds else text


def write_timestamptz(moment: datetime) -> str:
    """Write an aware moment in UTC as it is stored."""
    return write_timestamp(moment) + "+00:00"


def write_timestamp(moment: datetime) -> str:
    """Write a moment's date and clock as it is stored, without an offset."""
    return f"{moment.date().isoformat()}T{write_time(moment.time())}"


def fit(stored: str | None, digits: int) -> str | None:
    """Round a stored moment's fraction of a second to so many digits; a half is rounded away from 2000-01-01."""
    if stored is None or "infinity" in stored:
        return stored
    head, dot, rest = stored.partition(".")
    if not dot:
        return stored
    zone_ = rest.lstrip("0123456789")
    fraction = rest[: len(rest) - len(zone_)]
    if len(fraction) <= digits:
        return stored
    unit = 10 ** (6 - digits)
    micros = int(fraction.ljust(6, "0"))
    up = micros % unit * 2 - unit
    micros = micros // unit * unit + (
        unit if up > 0 or (up == 0 and (head >= "2000" or ":" in head[:3])) else 0
    )
    if ":" in head[:3]:
        hour, minute, second = map(int, head.split(":"))
        offset = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros)
        return _write_clock(offset) + zone_
    try:
        return write_timestamp(to_datetime(head) + timedelta(microseconds=micros)) + zone_
    except OverflowError:
        raise _field_out_of_range(stored) from None


def write_time(clock: time) -> str:
    """Write a time of day, its fraction without trailing zeros."""
    text = clock.replace(tzinfo=None, microsecond=0).isoformat()
    return f"{text}.{clock.microsecond:06d}".rstrip("0") if clock.microsecond else text


def to_datetime(stored: str) -> datetime:
    """Read a stored timestamp (with or without time zone) that is finite."""
    return datetime.fromisoformat(stored)


def _write_clock(since_midnight: timedelta) -> str:
    if since_midnight == timedelta(days=1):
        return "24:00:00"
    return write_time((datetime(2000, 1, 1) + since_midnight).time())


def _match_clock(text: str, type_name: str) -> re.Match[str]:
    match = _CLOCK.fullmatch(text) or _MOMENT.fullmatch(text)
    if match is None or match["hour"] is None:
        raise invalid_syntax(type_name, text, "22007")
    return match


def _text(value: Any, type_name: str) -> str:
    if not isinstance(value, str):
        raise invalid_syntax(type_name, value, "22007")
    return value


def _special(value: Any, type_name: str) -> str | None:
    return _SPECIAL.get(_text(value, type_name).strip().lower())


def _moment(value: str, type_name: str) -> tuple[datetime, tzinfo | None]:
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise invalid_syntax(type_name, value, "22007")
    if match["compact"]:
        year, month, day = match["compact"][:4], match["compact"][4:6], match["compact"][6:]
    else:
        year, month, day = match["year"], match["month"], match["day"]
    try:
        moment = datetime(int(year), int(month), int(day)) + _clock(match, value)
    except (ValueError, OverflowError):
        raise _field_out_of_range(value) from None
    return moment, _zone(match["zone"], value, type_name)


def _clock(match: re.Match[str], value: str) -> timedelta:
    if match["hour"] is None:
        return timedelta()
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    digits = (match["fraction"] or "")[:7].ljust(7, "0")
    microseconds = (int(digits) + 5) // 10
    offset = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microseconds)
    if hour > 24 or minute > 59 or second > 60 or offset > timedelta(days=1):
        raise _field_out_of_range(value)
    return offset


def _zone(name: str | None, value: str, type_name: str) -> tzinfo | None:
    if name is None:
        return None
    if name.lower() in {"z", "utc", "gmt", "zulu"}:
        return UTC
    if name[0] in "+-":
        digits = name[1:].replace(":", "")
        hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
        if hours > 15 or minutes > 59 or seconds > 59:
            raise DatabaseError(f'time zone displacement out of range: "{value}"', sqlstate="22009")
        offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return timezone(-offset if name[0] == "-" else offset)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if "/" in name:
            raise DatabaseError(f'time zone "{name}" not recognized', sqlstate="22023") from None
        raise invalid_syntax(type_name, value, "22007") from None


def zone(name: str) -> tzinfo:
    """Return a time zone by its name; raises 22023 for an unknown one."""
    try:
        found = _zone(name.strip(), name, TIMESTAMPTZ) if name.strip() else None
    except DatabaseError:
        found = None
    if found is None:
        raise DatabaseError(f'time zone "{name}" not recognized', sqlstate="22023")
    return found


def _field_out_of_range(value: str) -> DatabaseError:
    return DatabaseError(f'date/time field value out of range: "{value}"', sqlstate="22008")


def today(moment: datetime) -> date:
    """Return the date of an aware moment, in UTC."""
    return moment.astimezone(UTC).date()
