"""Arrays between PostgreSQL's text and the contract's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plugins.database.postgresql.literals import BOUNDS, read_array, write_array

_encode = msgspec.json.Encoder().encode
_SPECIAL = frozenset({"NaN", "Infinity", "-Infinity"})


def _quoted(text: str) -> str:
    return _encode(text).decode()


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


def _number(text: str) -> str:
    return _quoted(text) if text in _SPECIAL else text


def _timestamp(text: str) -> str:
    return _quoted(text.replace(" ", "T", 1))


def _timestamptz(text: str) -> str:
    moment = text.replace(" ", "T", 1)
    return _quoted(moment.replace("+00", "+00:00") if "+00" in moment else moment)


# What writes one element into JSON, by the array type's number in ``pg_type``.
ELEMENTS: Mapping[int, Callable[[str], str]] = {
    199: str, 3807: str, 1000: _boolean, 1115: _timestamp, 1185: _timestamptz,
    **dict.fromkeys((1005, 1007, 1016, 1021, 1022, 1028, 1231), _number),
    **dict.fromkeys((1001, 1002, 1003, 1009, 1014, 1015, 1041, 651, 1040, 1182, 1183, 1187, 1270, 2951), _quoted),
}  # fmt: skip


def to_json(text: str, element: Callable[[str], str]) -> str:
    """Return an array's text as JSON; `element` writes one of its elements."""
    return _joined(read_array(text), element)


def _joined(elements: list[Any], element: Callable[[str], str]) -> str:
    return f"[{','.join(_member(item, element) for item in elements)}]"


def _member(item: Any, element: Callable[[str], str]) -> str:
    if item is None:
        return "null"
    return _joined(item, element) if isinstance(item, list) else element(item)


def from_json(value: bytes | None, oid: int) -> bytes | None:
    """Return a parameter for an array type as PostgreSQL reads it; what is no array of JSON is left to it."""
    if value is None or value.lstrip()[:1] != b"[" or BOUNDS.match(value.decode()):
        return value
    try:
        found = msgspec.json.decode(value, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return value
    nested = ELEMENTS.get(oid) is not str
    return write_array([_text(bytes(item), nested=nested) for item in found]).encode()


def _text(item: bytes, *, nested: bool) -> Any:
    if item == b"null":
        return None
    if item[:1] == b'"':
        return msgspec.json.decode(item)
    if item[:1] == b"[" and nested:
        return [_text(bytes(one), nested=True) for one in msgspec.json.decode(item, type=list[msgspec.Raw])]
    return item.decode()
