"""JSON documents: ``json`` keeps its text, ``jsonb`` one normal form in which equal documents are equal texts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.numeric.numbers import parse_numeric, write_numeric

_DETAIL = "The text is not one well-formed JSON value."


class _Number(str):
    """A JSON number's own digits: neither a float's rounding nor its form."""

    __slots__ = ()


_exact = msgspec.json.Decoder(float_hook=_Number)
_quote = msgspec.json.Encoder().encode


def decode(text: str) -> Any:
    """Return a document's value, numbers as written; raises 22P02 for what is no JSON, 54001 for too deep a one."""
    try:
        return _exact.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise DatabaseError("invalid input syntax for type json", sqlstate="22P02", detail=_DETAIL) from None
    except RecursionError:
        raise DatabaseError("stack depth limit exceeded", sqlstate="54001") from None


def read_json(value: Any) -> str | None:
    """Check that text is JSON and return it unchanged."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    decode(text)
    return text


def read_jsonb(value: Any) -> str | None:
    """Return JSON text in its normal form: no spaces, keys once and in PostgreSQL's order, numbers written out."""
    if value is None:
        return None
    return _write(decode(value if isinstance(value, str) else str(value)), ",", ":")


def write_jsonb(value: str | None) -> str | None:
    """Write a stored ``jsonb`` as PostgreSQL's text, with a space after each comma and colon."""
    return None if value is None else _write(decode(value), ", ", ": ")


def _write(value: Any, comma: str, colon: str) -> str:
    if isinstance(value, _Number):
        return write_numeric(parse_numeric(value))
    if isinstance(value, str):
        if "\x00" in value:
            raise DatabaseError(
                "unsupported Unicode escape sequence",
                sqlstate="22P05",
                detail="\\u0000 cannot be converted to text.",
            )
        return _quote(value).decode()
    if isinstance(value, dict):
        keys = sorted(value, key=_key_order)
        members = (f"{_write(key, comma, colon)}{colon}{_write(value[key], comma, colon)}" for key in keys)
        return "{" + comma.join(members) + "}"
    if isinstance(value, list):
        return "[" + comma.join(_write(item, comma, colon) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return write_numeric(Decimal(value))


def compact(value: Any) -> str:
    """Return a decoded value's text in the normal form."""
    return _write(value, ",", ":")


def _key_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded


def json_to_text(value: Any) -> str | None:
    """Return the text of one member's JSON: a string's content, NULL for null, anything else as it is written."""
    if value is None or value == "null":
        return None
    text = value if isinstance(value, str) else str(value)
    if not text.startswith('"'):
        return text
    decoded = decode(text)
    return decoded if isinstance(decoded, str) else text
