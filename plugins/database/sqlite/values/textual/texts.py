"""Text-like values: UUIDs, bytea, lengths of ``character varying``, and pattern matching."""

from __future__ import annotations

import re
from typing import Any

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import invalid_syntax

_UUID = re.compile(r"\{?([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\}?", re.ASCII)
_ESCAPED = re.compile(rb"\\(\\|[0-3][0-7]{2})?")


def read_uuid(value: Any) -> str | None:
    """Read ``uuid`` in any of PostgreSQL's forms into lower case with hyphens."""
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or not _UUID.fullmatch(value)
        or value.startswith("{") != value.endswith("}")
    ):
        raise invalid_syntax("uuid", value)
    digits = value.strip("{}").replace("-", "").lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_bytea(value: Any) -> bytes | None:
    r"""Read ``bytea`` from its hexadecimal form (``\x6869``) or its escape form; bytes pass as they are."""
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise invalid_syntax("bytea", value)
    if value.startswith("\\x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            raise DatabaseError("invalid hexadecimal data in a bytea literal", sqlstate="22023") from None
    return _ESCAPED.sub(_unescape, value.encode())


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code is None:
        raise DatabaseError("invalid input syntax for type bytea", sqlstate="22P02")
    return b"\\" if code == b"\\" else bytes([int(code, 8)])


def write_bytea(value: bytes | None) -> str | None:
    r"""Write ``bytea`` in its hexadecimal form."""
    return None if value is None else "\\x" + value.hex()


def fit_varchar(value: str | None, length: int) -> str | None:
    """Check text against a column's ``character varying(length)``; only spaces may be cut off."""
    if value is None or len(value) <= length:
        return value
    if value[length:].strip(" "):
        raise DatabaseError(f"value too long for type character varying({length})", sqlstate="22001")
    return value[:length]


def fit_char(value: str | None, length: int) -> str | None:
    """Fill text up for a column of ``character(length)``; only spaces may be cut off."""
    if value is None:
        return None
    if value[length:].strip(" "):
        raise DatabaseError(f"value too long for type character({length})", sqlstate="22001")
    return value[:length].ljust(length)


def matches_like_ignoring_case(pattern: str | None, value: str | None) -> int | None:
    """Tell whether `value` matches a LIKE pattern whatever the case of either, in linear steps per wildcard."""
    if pattern is None or value is None:
        return None
    return int(_like(_like_tokens(pattern.lower()), value.lower()))


def _like_tokens(pattern: str) -> list[str | None]:
    """Return literal characters, ``""`` for one of any and None for any run."""
    tokens: list[str | None] = []
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
        elif character == "_":
            tokens.append("")
        elif character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise DatabaseError("LIKE pattern must not end with escape character", sqlstate="22025")
            tokens.append(escaped)
        else:
            tokens.append(character)
    return tokens


def _like(tokens: list[str | None], value: str) -> bool:
    """Match with one point to go back to, so that the work is bounded by pattern times value."""
    at = place = 0
    back: tuple[int, int] | None = None
    while place < len(value):
        token = tokens[at] if at < len(tokens) else "end"
        if token is None:
            back = (at + 1, place)
            at += 1
        elif at < len(tokens) and token in ("", value[place]):
            at += 1
            place += 1
        elif back is not None:
            at, place = back[0], back[1] + 1
            back = (at, place)
        else:
            return False
    return all(token is None for token in tokens[at:])
