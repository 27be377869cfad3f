"""PostgreSQL's functions on text, moments and lists of values that SQLite does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values import moments
from plugins.database.sqlite.values.numbers import compare_numeric, write_numeric

_LONGEST = 64 * 1024 * 1024


def substring(value: str | None, start: int | None, *length: int | None) -> str | None:
    """Return characters from `start` (1 is the first); places before the first count but hold nothing."""
    if value is None or start is None or None in length:
        return None
    if not length:
        return value[max(start, 1) - 1 :]
    count = length[0] or 0
    if count < 0:
        raise DatabaseError("negative substring length not allowed", sqlstate="22011")
    return value[max(start, 1) - 1 : max(start + count, 1) - 1]


def left(value: str | None, count: int | None) -> str | None:
    """Return the first `count` characters, or all but the last ``-count``."""
    return None if value is None or count is None else value[:count]


def right(value: str | None, count: int | None) -> str | None:
    """Return the last `count` characters, or all but the first ``-count``."""
    if value is None or count is None:
        return None
    return value[-count:] if count else ""


def replace(value: str | None, old: str | None, new: str | None) -> str | None:
    """Return `value` with every `old` replaced; an empty one is found nowhere."""
    if value is None or old is None or new is None:
        return None
    return value.replace(old, new) if old else value


def reverse(value: str | None) -> str | None:
    """Return the characters in reverse."""
    return None if value is None else value[::-1]


def repeat(value: str | None, count: int | None) -> str | None:
    """Return `value` so many times."""
    if value is None or count is None:
        return None
    if len(value) * count > _LONGEST:
        raise DatabaseError("requested length too large", sqlstate="54000")
    return value * count


def split_part(value: str | None, delimiter: str | None, place: int | None) -> str | None:
    """Return one of the parts between delimiters; counted from the end where negative."""
    if value is None or delimiter is None or place is None:
        return None
    if place == 0:
        raise DatabaseError("field position must not be zero", sqlstate="22023")
    parts = value.split(delimiter) if delimiter else [value]
    index = place - 1 if place > 0 else len(parts) + place
    return parts[index] if 0 <= index < len(parts) else ""


def md5(value: str | None) -> str | None:
    """Return the MD5 digest in hexadecimal: a checksum, not a secret."""
    return None if value is None else hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


def json_path(key: Any) -> str | None:
    """Return the JSON path to an object's member, whatever characters its key holds."""
    if key is None:
        return None
    text = str(key).replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{text}"'


def greatest(*values: Any) -> Any:
    """Return the greatest value that is not NULL."""
    return max((value for value in values if value is not None), default=None)


def least(*values: Any) -> Any:
    """Return the least value that is not NULL."""
    return min((value for value in values if value is not None), default=None)


def greatest_numeric(*values: Any) -> Any:
    """Return the greatest exact numeric that is not NULL."""
    return _extreme(values, 1)


def least_numeric(*values: Any) -> Any:
    """Return the least exact numeric that is not NULL."""
    return _extreme(values, -1)


def _extreme(values: tuple[Any, ...], sign: int) -> Any:
    best = None
    for value in values:
        if value is not None and (best is None or compare_numeric(str(value), str(best)) == sign):
            best = value
    return best


def row_count(value: int | None, clause: str) -> int | None:
    """Check the number of a LIMIT or OFFSET."""
    if value is not None and value < 0:
        raise DatabaseError(
            f"{clause} must not be negative", sqlstate="2201W" if clause == "LIMIT" else "2201X"
        )
    return value


def given(value: Any, table: str, column: str) -> Any:
    """Refuse NULL for a column that numbers its rows by itself: SQLite would take it for "the next one"."""
    if value is None:
        raise DatabaseError(
            f'null value in column "{column}" of relation "{table}" violates not-null constraint',
            sqlstate="23502",
            table=table,
            column=column,
        )
    return value


def too_many_rows() -> None:
    """Refuse a subquery that should have given one value."""
    raise DatabaseError("more than one row returned by a subquery used as an expression", sqlstate="21000")


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
}


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def date_trunc(field: str | None, stored: str | None) -> str | None:
    """Cut a stored timestamp to a unit."""
    if field is None or stored is None or stored.endswith("infinity"):
        return stored if field is not None else None
    cut = _TRUNCATED.get(field.lower())
    if cut is None:
        raise DatabaseError(f'unit "{field}" not recognized for type timestamp', sqlstate="22023")
    moment = cut(moments.to_datetime(stored))
    return moments.write_timestamptz(moment) if moment.tzinfo else moments.write_timestamp(moment)


def extract(field: str | None, stored: str | None) -> str | None:
    """Return one field of a stored timestamp or date as an exact numeric."""
    if field is None or stored is None or stored.endswith("infinity"):
        return None
    moment = moments.to_datetime(stored)
    read = _FIELDS.get(field.lower())
    if read is None:
        raise DatabaseError(f'unit "{field}" not recognized for type timestamp', sqlstate="22023")
    return write_numeric(Decimal(read(moment, len(stored) == 10)))


def _epoch(moment: datetime, is_date: bool) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    elapsed = aware - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = elapsed // timedelta(seconds=1)
    fraction = (elapsed - timedelta(seconds=seconds)).microseconds
    if is_date:
        return str(seconds)
    total = seconds * 1_000_000 + fraction
    sign, total = ("-", -total) if total < 0 else ("", total)
    return f"{sign}{total // 1_000_000}.{total % 1_000_000:06d}"


_FIELDS: dict[str, Callable[[datetime, bool], str]] = {
    "year": lambda moment, is_date: str(moment.year),
    "month": lambda moment, is_date: str(moment.month),
    "day": lambda moment, is_date: str(moment.day),
    "hour": lambda moment, is_date: str(moment.hour),
    "minute": lambda moment, is_date: str(moment.minute),
    "second": lambda moment, is_date: f"{moment.second}.{moment.microsecond:06d}",
    "dow": lambda moment, is_date: str(moment.isoweekday() % 7),
    "isodow": lambda moment, is_date: str(moment.isoweekday()),
    "doy": lambda moment, is_date: str((moment.date() - date(moment.year, 1, 1)).days + 1),
    "week": lambda moment, is_date: str(moment.isocalendar().week),
    "quarter": lambda moment, is_date: str((moment.month - 1) // 3 + 1),
    "epoch": _epoch,
}
