"""Arrays: kept as JSON's, each element as PostgreSQL writes it in JSON; of one dimension, counted from one.

An element's stored form is what a column of its type holds: exact numerics are text there and numbers in the JSON,
documents are text there and JSON's own values here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.postgresql.literals import BOUNDS, malformed, read_array, write_array
from plugins.database.sqlite.values.nested import documents
from plugins.database.sqlite.values.numeric import numbers
from plugins.database.sqlite.values.refusals import unsupported
from plugins.database.sqlite.values.textual import texts

_encode = msgspec.json.Encoder().encode
_NUMBERS = ("smallint", "integer", "bigint", "numeric")


def read(value: Any, element: str, reader: Callable[[Any], Any] | None) -> str | None:
    """Read an array's text, PostgreSQL's or JSON's, into the stored form."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise malformed(str(value))
    if BOUNDS.match(value):
        raise unsupported("an array with bounds of its own")
    given = _from_json(value) if value.lstrip()[:1] == "[" else _from_literal(value)
    read_one = reader or str
    return write([None if item is None else read_one(item) for item in given], element)


def _from_json(value: str) -> list[str | None]:
    """Return a JSON array's elements as texts."""
    try:
        found = documents.decode(value)
    except DatabaseError:
        raise malformed(value) from None
    return [item if item is None or type(item) is str else documents.compact(item) for item in found]


def _from_literal(value: str) -> list[str | None]:
    """Return the elements of PostgreSQL's form."""
    found = read_array(value)
    if any(isinstance(item, list) for item in found):
        raise unsupported("an array of several dimensions")
    return found


def write(elements: list[Any], element: str) -> str:
    """Return stored elements as a stored array."""
    return f"[{','.join(_member(item, element) for item in elements)}]"


def _member(item: Any, element: str) -> str:
    if item is None:
        return "null"
    if element == "boolean":
        return "true" if item else "false"
    if element in _NUMBERS:
        return str(item)
    if element in ("real", "double precision"):
        return _float_text(item, element)
    if element == "jsonb":
        if item == "null":
            raise unsupported("null of jsonb in an array")
        return str(item)
    return _encode(texts.write_bytea(item) if isinstance(item, bytes) else item).decode()


def _float_text(item: Any, element: str) -> str:
    return (numbers.write_real(float(item)) if element == "real" else numbers.write_double(float(item))) or ""


def items(value: str) -> Iterator[Any]:
    """Yield a stored array's elements: texts, numbers as their digits, booleans as 0 and 1, documents as text."""
    for item in documents.decode(value):
        if isinstance(item, bool):
            yield int(item)
        elif item is None or type(item) is str:
            yield item
        else:
            yield documents.compact(item)


def elements(value: str | None) -> str | None:
    """Return a stored array as one whose elements SQLite's JSON functions give back digit by digit: as texts."""
    return None if value is None else _encode(list(items(value))).decode()


def to_text(value: str | None, element: str) -> str | None:
    """Write a stored array in PostgreSQL's form."""
    if value is None:
        return None
    return write_array([None if item is None else shown(item, element) for item in items(value)])


def shown(item: Any, element: str) -> str:
    """Return an element as PostgreSQL's text."""
    if element == "boolean":
        return "t" if item else "f"
    if element in ("real", "double precision"):
        return _float_text(item, element)
    if element == "timestamp without time zone":
        return str(item).replace("T", " ")
    if element == "timestamp with time zone":
        return str(item).replace("T", " ").replace("+00:00", "+00")
    if element == "jsonb":
        return documents.write_jsonb(item) or ""
    return str(item)


def join(value: str | None, delimiter: str | None, nothing: str | None, element: str) -> str | None:
    """Return the elements' texts joined; NULLs are left out, unless `nothing` stands for them."""
    if value is None or delimiter is None:
        return None
    found = (nothing if item is None else shown(item, element) for item in items(value))
    return delimiter.join(text for text in found if text is not None)


def joined(value: str | None, delimiter: str | None) -> str | None:
    """Return the texts of a JSON array joined, as an aggregate does: NULL where there are none but NULLs."""
    found = [item for item in documents.decode(value or "[]") if item is not None]
    return (delimiter or "").join(found) if found else None


def split(value: str | None, delimiter: str | None, nothing: str | None = None) -> str | None:
    """Return a text's parts between delimiters; each character by itself for a delimiter of NULL."""
    if value is None:
        return None
    if not value:
        parts = []
    elif delimiter is None:
        parts = list(value)
    else:
        parts = value.split(delimiter) if delimiter else [value]
    return _encode([None if part == nothing else part for part in parts]).decode()
