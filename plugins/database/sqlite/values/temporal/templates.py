"""``to_char``, ``to_date`` and ``to_timestamp``: moments by a template (``YYYY-MM-DD HH24:MI``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import unsupported
from plugins.database.sqlite.values.temporal import moments

_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"]  # fmt: skip
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_PART = re.compile(
    r'"(?P<quoted>[^"]*)"|(?P<fm>FM)?(?P<field>HH24|HH12|IYYY|YYYY|MONTH|MON|DAY|DDD|AM|PM|A\.M\.|P\.M\.|HH|YY|MM|DD|'
    r"DY|MI|SSSSS|SS|MS|US|IW|WW|ID|TZ|OF|Q|J|D|W|CC)(?P<th>TH)?|(?P<letter>[A-Za-z]+)|(?P<other>.)",
    re.DOTALL | re.IGNORECASE,
)
_HALVES = frozenset({"AM", "PM", "A.M.", "P.M."})

_WRITERS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda moment: f"{moment.year:04d}",
    "IYYY": lambda moment: f"{moment.isocalendar().year:04d}",
    "YY": lambda moment: f"{moment.year % 100:02d}",
    "CC": lambda moment: f"{(moment.year - 1) // 100 + 1:02d}",
    "MM": lambda moment: f"{moment.month:02d}",
    "DD": lambda moment: f"{moment.day:02d}",
    "DDD": lambda moment: f"{moment.timetuple().tm_yday:03d}",
    "D": lambda moment: str(moment.isoweekday() % 7 + 1),
    "ID": lambda moment: str(moment.isoweekday()),
    "W": lambda moment: str((moment.day - 1) // 7 + 1),
    "WW": lambda moment: f"{(moment.timetuple().tm_yday - 1) // 7 + 1:02d}",
    "IW": lambda moment: f"{moment.isocalendar().week:02d}",
    "Q": lambda moment: str((moment.month - 1) // 3 + 1),
    "J": lambda moment: str(moment.toordinal() + 1721425),
    "HH24": lambda moment: f"{moment.hour:02d}",
    "HH12": lambda moment: f"{(moment.hour - 1) % 12 + 1:02d}",
    "HH": lambda moment: f"{(moment.hour - 1) % 12 + 1:02d}",
    "MI": lambda moment: f"{moment.minute:02d}",
    "SS": lambda moment: f"{moment.second:02d}",
    "SSSSS": lambda moment: str((moment.hour * 60 + moment.minute) * 60 + moment.second),
    "MS": lambda moment: f"{moment.microsecond // 1000:03d}",
    "US": lambda moment: f"{moment.microsecond:06d}",
    "TZ": lambda moment: "UTC" if moment.tzinfo else "",
    "OF": lambda moment: "+00",
}


def to_char(stored: str | None, template: str | None) -> str | None:
    """Write a stored timestamp or date by a template."""
    if stored is None or template is None or stored.endswith("infinity"):
        return None
    moment = moments.to_datetime(stored)
    return "".join(_written(match, moment) for match in _PART.finditer(template))


def _written(match: re.Match[str], moment: datetime) -> str:
    field = match["field"]
    if field is None:
        if match["letter"] is not None and match["letter"] not in ("T", "Z"):
            raise unsupported(f'the template "{match["letter"]}" of to_char()')
        return match["quoted"] if match["quoted"] is not None else match[0]
    text = _half(field, moment) if field.upper() in _HALVES else _name(field, moment, padded=not match["fm"])
    if text is None:
        text = _WRITERS[field.upper()](moment)
        if match["fm"] and text.isdigit() and field.upper() not in ("MS", "US"):
            text = str(int(text))
    if field == "tz":
        text = text.lower()
    return text + (_ordinal(int(text), match["th"]) if match["th"] and text.isdigit() else "")


def _name(field: str, moment: datetime, *, padded: bool) -> str | None:
    kind = field.lower()
    if kind in ("month", "mon"):
        name = _MONTHS[moment.month - 1]
    elif kind in ("day", "dy"):
        name = _DAYS[moment.weekday()]
    else:
        return None
    name = name[:3] if kind in ("mon", "dy") else name.ljust(9) if padded else name
    return name.upper() if field.isupper() else name.lower() if field.islower() else name


def _half(field: str, moment: datetime) -> str:
    letter = "p" if moment.hour >= 12 else "a"
    text = f"{letter}.m." if "." in field else f"{letter}m"
    return text.upper() if field[0].isupper() else text


def _ordinal(number: int, suffix: str) -> str:
    text = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return text.upper() if suffix == "TH" else text


_READERS = {
    "YYYY": r"(?P<YYYY>\d{1,4})", "YY": r"(?P<YY>\d{1,2})", "MM": r"(?P<MM>\d{1,2})", "DD": r"(?P<DD>\d{1,2})",
    "DDD": r"(?P<DDD>\d{1,3})", "HH24": r"(?P<HH24>\d{1,2})", "HH12": r"(?P<HH12>\d{1,2})", "HH": r"(?P<HH12>\d{1,2})",
    "MI": r"(?P<MI>\d{1,2})", "SS": r"(?P<SS>\d{1,2})", "MS": r"(?P<MS>\d{1,3})", "US": r"(?P<US>\d{1,6})",
}  # fmt: skip


def to_date(text: str | None, template: str | None) -> str | None:
    """Read a date by a template."""
    found = _read(text, template)
    return None if found is None else found.date().isoformat()


def to_timestamp(text: str | None, template: str | None) -> str | None:
    """Read a moment by a template."""
    found = _read(text, template)
    return None if found is None else moments.write_timestamptz(found.replace(tzinfo=UTC))


def _read(text: str | None, template: str | None) -> datetime | None:
    if text is None or template is None:
        return None
    pattern = "".join(_reader(match) for match in _PART.finditer(template))
    match = re.compile(r"\s*" + pattern, re.IGNORECASE | re.ASCII).match(text)
    if match is None:
        message = f'invalid value "{text}" for "{template}"'
        raise DatabaseError(message, sqlstate="22007", detail="Value must be as the template says.")
    return _moment(match.groupdict(), text)


def _reader(match: re.Match[str]) -> str:
    field = match["field"]
    if field is None:
        literal = match["quoted"] if match["quoted"] is not None else match[0]
        if match["letter"] is not None and match["letter"] != "T":
            raise unsupported(f'the template "{match["letter"]}" of to_timestamp()')
        # Any separator stands for any other, as PostgreSQL reads them.
        return "".join(re.escape(one) if one.isalnum() else r"[^\w]?" for one in literal)
    kind = field.upper()
    if kind in ("MONTH", "MON"):
        return "(?P<MON>" + "|".join(name if kind == "MONTH" else name[:3] for name in _MONTHS) + ")"
    if kind in _HALVES:
        return r"(?P<HALF>[ap]\.?m\.?)"
    if kind not in _READERS:
        raise unsupported(f'the template "{field}" of to_timestamp()')
    return _READERS[kind]


def _moment(parts: dict[str, str | None], text: str) -> datetime:
    given = {name: value for name, value in parts.items() if value is not None}
    numbers = {name: int(value) for name, value in given.items() if value.isdigit()}
    if "YYYY" not in numbers and "YY" not in numbers:
        # PostgreSQL takes the year before the first, which is not kept here.
        raise DatabaseError(f'timestamp out of range: "{text}"', sqlstate="22008")
    year = numbers.get("YYYY") or numbers.get("YY", 0) + (2000 if numbers.get("YY", 0) < 70 else 1900)
    hour = numbers.get("HH24", numbers.get("HH12", 0))
    if "HALF" in given:
        hour = hour % 12 + (12 if given["HALF"][0].lower() == "p" else 0)
    fraction = (given.get("US") or given.get("MS") or "0").ljust(6, "0")
    try:
        day = _day(year, numbers, given.get("MON"))
        clock = time(hour, numbers.get("MI", 0), numbers.get("SS", 0), int(fraction))
    except ValueError:
        raise DatabaseError(f'date/time field value out of range: "{text}"', sqlstate="22008") from None
    return datetime.combine(day, clock)


def _day(year: int, numbers: dict[str, int], name: str | None) -> date:
    if "DDD" in numbers:
        return date(year, 1, 1) + timedelta(days=numbers["DDD"] - 1)
    month = numbers.get("MM", 1)
    if name is not None:
        month = [known[:3].lower() for known in _MONTHS].index(name[:3].lower()) + 1
    return date(year, month, numbers.get("DD", 1))
