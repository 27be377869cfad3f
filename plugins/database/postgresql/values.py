"""Values on their way to and from libpq: text both ways, in the forms of the Database contract.

Parameters have no type of their own, so that PostgreSQL takes each from its place in the statement, as it does for
a quoted literal. Results come in the session's output forms (``DateStyle`` ISO, time zone UTC), which differ from
PostgreSQL's JSON in timestamps, and in arrays, which travel as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.postgresql import arrays

Reader = Callable[[bytes], Any]


def written(value: Any) -> bytes | None:
    """Return a parameter as libpq takes it.

    Raises `DatabaseError` 22021 for text that PostgreSQL cannot hold, 42804 for other kinds.
    """
    kind = type(value)
    if kind is str:
        if "\x00" in value:
            raise DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
        try:
            return bytes(value, "utf-8")
        except UnicodeEncodeError:
            raise DatabaseError("invalid Unicode surrogate in a value", sqlstate="22021") from None
    if value is None:
        return None
    if kind is bool:
        return b"true" if value else b"false"
    if kind is int:
        return b"%d" % value
    if kind is float:
        return repr(value).encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return b"\\x" + bytes(value).hex().encode()
    raise DatabaseError(
        f"a parameter is None, bool, int, float, str or bytes, not {kind.__name__}", sqlstate="42804"
    )


def reader(oid: int) -> Reader:
    """Return what reads a column of the type with this number in ``pg_type``."""
    element = arrays.ELEMENTS.get(oid)
    if element is not None:
        return lambda value: arrays.to_json(value.decode(), element)
    return _READERS.get(oid, _text)


def _text(value: bytes) -> str:
    return value.decode()


def _timestamp(value: bytes) -> str:
    return value.decode().replace(" ", "T", 1)


def _timestamptz(value: bytes) -> str:
    text = value.decode().replace(" ", "T", 1)
    return text.replace("+00", "+00:00") if "+00" in text else text


def _bytea(value: bytes) -> bytes:
    return bytes.fromhex(value[2:].decode())


_READERS: Mapping[int, Reader] = {
    16: lambda value: value == b"t",
    17: _bytea,
    20: int,
    21: int,
    23: int,
    26: int,
    700: float,
    701: float,
    1114: _timestamp,
    1184: _timestamptz,
}
