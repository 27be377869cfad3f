"""PostgreSQL's text for arrays: ``{a,"b c",NULL}``, nested for more dimensions."""

from __future__ import annotations

import re
from typing import Any

from kernel.contracts.database import DatabaseError

BOUNDS = re.compile(r"\s*(?:\[-?\d+(?::-?\d+)?\]\s*)+=")
_PLAIN = re.compile(r'[^\s{},"\\]+')


def malformed(text: str, detail: str | None = None) -> DatabaseError:
    """Return the error for a text that is no array."""
    return DatabaseError(f'malformed array literal: "{text}"', sqlstate="22P02", detail=detail)


def read_array(value: str) -> list[Any]:
    """Return an array's elements as texts, None for NULL, lists for inner arrays; raises 22P02."""
    match = BOUNDS.match(value)
    text = value[match.end() if match else 0 :].strip()
    if not text.startswith("{"):
        raise malformed(value, 'Array value must start with "{" or dimension information.')
    if not text.endswith("}") or len(text) < 2:
        raise malformed(value, "Unexpected end of input.")
    try:
        found, end = _array(text, 1, value)
    except IndexError:
        raise malformed(value, "Unexpected end of input.") from None
    except RecursionError:
        raise DatabaseError("stack depth limit exceeded", sqlstate="54001") from None
    if end != len(text):
        raise malformed(value, "Junk after closing right brace.")
    return found


def _array(text: str, place: int, value: str) -> tuple[list[Any], int]:
    """Return the elements of the array whose brace stands before `place`, and the place behind its end."""
    place = _skipped(text, place)
    if text[place] == "}":
        return [], place + 1
    found: list[Any] = []
    while True:
        item, place = _element(text, _skipped(text, place), value)
        found.append(item)
        place = _skipped(text, place)
        if text[place] == "}":
            return found, place + 1
        if text[place] != ",":
            raise malformed(value, "Incorrectly quoted array element.")
        place += 1


def _skipped(text: str, place: int) -> int:
    while text[place].isspace():
        place += 1
    return place


def _element(text: str, place: int, value: str) -> tuple[Any, int]:
    """Return the element that begins at `place`, and the place of what ends it."""
    if text[place] == "{":
        return _array(text, place + 1, value)
    if text[place] == '"':
        return _quoted(text, place + 1)
    pieces: list[str] = []
    kept = 0  # up to here, spaces were escaped
    while text[place] not in ',}"{':
        if text[place] == "\\":
            place += 1
            kept = len(pieces) + 1
        pieces.append(text[place])
        place += 1
    item = "".join(pieces[:kept]) + "".join(pieces[kept:]).rstrip()
    if not item or text[place] in '"{':
        raise malformed(value, f'Unexpected "{text[place]}" character.')
    return (None if item.lower() == "null" and not kept else item), place


def _quoted(text: str, place: int) -> tuple[str, int]:
    pieces = []
    while text[place] != '"':
        place += text[place] == "\\"
        pieces.append(text[place])
        place += 1
    return "".join(pieces), place + 1


def write_array(elements: list[Any]) -> str:
    """Return the text of an array of texts, None for NULL, lists for inner arrays."""
    return "{" + ",".join(map(_written, elements)) + "}"


def _written(item: str | list[Any] | None) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, list):
        return write_array(item)
    if _PLAIN.fullmatch(item) and item.lower() != "null":
        return item
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
