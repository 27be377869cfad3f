"""PostgreSQL's functions on text and lists of values that SQLite does not have."""

from __future__ import annotations

import re
from typing import Any

from kernel.contracts.database import DatabaseError

_LONGEST = 64 * 1024 * 1024
_WORD = re.compile(r"[^\W_]+")


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


def lpad(value: str | None, width: int | None, fill: str | None = " ") -> str | None:
    """Return `value` filled up on the left to `width` characters, or cut off to it."""
    if value is None or width is None or fill is None:
        return None
    return value[: max(width, 0)] if len(value) >= width else _filling(fill, width - len(value)) + value


def rpad(value: str | None, width: int | None, fill: str | None = " ") -> str | None:
    """Return `value` filled up on the right to `width` characters, or cut off to it."""
    if value is None or width is None or fill is None:
        return None
    return value[: max(width, 0)] if len(value) >= width else value + _filling(fill, width - len(value))


def _filling(fill: str, count: int) -> str:
    if count > _LONGEST:
        raise DatabaseError("requested length too large", sqlstate="54000")
    return (fill * (count // len(fill) + 1))[:count] if fill else ""


def translate(value: str | None, old: str | None, new: str | None) -> str | None:
    """Return `value` with each character of `old` as the one at its place in `new`, or gone where there is none."""
    if value is None or old is None or new is None:
        return None
    pairs = reversed(list(enumerate(old)))
    return value.translate({ord(one): new[place] if place < len(new) else None for place, one in pairs})


def overlay(value: str | None, new: str | None, start: int | None, *count: int | None) -> str | None:
    """Return `value` with `count` characters from `start` on replaced; by default as many as `new` has."""
    if value is None or new is None or start is None or None in count:
        return None
    if start <= 0:
        raise DatabaseError("negative substring length not allowed", sqlstate="22011")
    length = len(new) if not count else count[0] or 0
    return value[: start - 1] + new + value[max(start - 1 + length, 0) :]


def ascii_code(value: str | None) -> int | None:
    """Return the first character's code point; 0 for an empty text."""
    return None if value is None else ord(value[0]) if value else 0


def character(code: int | None) -> str | None:
    """Return the character of a code point; raises 54000 for one that is none."""
    if code is None:
        return None
    if code == 0:
        raise DatabaseError("null character not permitted", sqlstate="54000")
    if code < 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise DatabaseError(f"requested character not valid for encoding: {code}", sqlstate="54000")
    return chr(code)


def hexadecimal(value: int | None, bits: int) -> str | None:
    """Return a whole number's digits in base 16, a negative one's in two's complement."""
    return None if value is None else f"{value % 2**bits:x}"


def lower(value: str | None) -> str | None:
    """Return `value` in lower case."""
    return None if value is None else value.lower()


def upper(value: str | None) -> str | None:
    """Return `value` in upper case."""
    return None if value is None else value.upper()


def initcap(value: str | None) -> str | None:
    """Return `value` with a capital at the beginning of each run of letters and digits."""
    return None if value is None else _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:].lower(), value)


def nulls(*values: Any) -> int:
    """Return how many values are NULL."""
    return values.count(None)


def non_nulls(*values: Any) -> int:
    """Return how many values are not NULL."""
    return len(values) - values.count(None)


def json_path(key: Any) -> str | None:
    """Return the JSON path to an object's member, whatever characters its key holds."""
    if key is None:
        return None
    text = str(key).replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{text}"'


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
