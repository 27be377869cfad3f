"""Fields of moments: cutting to a unit, and taking one out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values import moments
from plugins.database.sqlite.values.numbers import write_numeric

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
