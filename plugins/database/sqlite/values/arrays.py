"""Arrays: kept as JSON's, each element as PostgreSQL writes it in JSON; of one dimension, counted from one.

An element's stored form is what a column of its type holds: exact numerics are text there and numbers in the JSON,
documents are text there and JSON's own values here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values import documents, numbers, texts
from plugins.database.sqlite.values.refusals import unsupported

_encode = msgspec.json.Encoder().encode
_NUMBERS = ("smallint", "integer", "bigint", "numeric")
_PLAIN = re.compile(r'[^\s{},"\\]+')
_BOUNDS = re.compile(r"\s*(?:\[-?\d+(?::-?\d+)?\]\s*)+=")


def malformed(text: str, detail: str | None = None) -> DatabaseError:
    """Return the error for a text that is no array."""
    return DatabaseError(f'malformed array literal: "{text}"', sqlstate="22P02", detail=detail)


def read(value: Any, element: str, reader: Callable[[Any], Any] | None) -> str | None:
    """Read an array's text, PostgreSQL's or JSON's, into the stored form."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise malformed(str(value))
    if _BOUNDS.match(value):
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
    """Return the elements of PostgreSQL's form: ``{a,"b c",NULL}``."""
    text = value.strip()
    if not text.startswith("{"):
        raise malformed(value, 'Array value must start with "{" or dimension information.')
    if not text.endswith("}") or len(text) < 2:
        raise malformed(value, "Unexpected end of input.")
    if not text[1:-1].strip():
        return []
    found, place = [], 1
    while True:
        item, place = _element(text, place, value)
        found.append(item)
        if text[place] == "}":
            if place != len(text) - 1:
                raise malformed(value, "Junk after closing right brace.")
            return found
        if text[place] != ",":
            raise malformed(value, "Incorrectly quoted array element.")
        place += 1


def _element(text: str, place: int, value: str) -> tuple[str | None, int]:
    """Return the element that begins at `place`, and the place of what ends it."""
    while text[place].isspace():
        place += 1
    if text[place] == "{":
        raise unsupported("an array of several dimensions")
    if text[place] == '"':
        return _quoted(text, place + 1, value)
    pieces: list[str] = []
    kept = 0  # up to here, spaces were escaped
    while text[place] not in ',}"{':
        if text[place] == "\\":
            place += 1
            kept = len(pieces) + 1
        if place >= len(text) - 1:
            raise malformed(value, "Unexpected end of input.")
        pieces.append(text[place])
        place += 1
    item = "".join(pieces[:kept]) + "".join(pieces[kept:]).rstrip()
    if not item or text[place] in '"{':
        raise malformed(value, f'Unexpected "{text[place]}" character.')
    return (None if item.lower() == "null" and not kept else item), place


def _quoted(text: str, place: int, value: str) -> tuple[str, int]:
    pieces = []
    while place < len(text) and text[place] != '"':
        place += text[place] == "\\"
        pieces.append(text[place : place + 1])
        place += 1
    place += 1
    while place < len(text) and text[place].isspace():
        place += 1
    if place >= len(text):
        raise malformed(value, "Unexpected end of input.")
    return "".join(pieces), place


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
    return "{" + ",".join(_shown(item, element) for item in items(value)) + "}"


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


def _shown(item: Any, element: str) -> str:
    if item is None:
        return "NULL"
    text = shown(item, element)
    if _PLAIN.fullmatch(text) and text.lower() != "null":
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def join(value: str | None, delimiter: str | None, nothing: str | None, element: str) -> str | None:
    """Return the elements' texts joined; NULLs are left out, unless `nothing` stands for them."""
    if value is None or delimiter is None:
        return None
    found = (nothing if item is None else shown(item, element) for item in items(value))
    return delimiter.join(text for text in found if text is not None)


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
