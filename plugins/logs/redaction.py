"""What must not stand in a log: secrets by their name and by their look, and characters that forge lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from kernel import Secret

HIDDEN = "********"
MAX_QUERY = 512
_MAX_DEPTH = 6

_NAMES = re.compile(
    r"passw|passphrase|secret|token|api_?key|authorization|cookie|jwt|credential|private_?key|signature",
    re.IGNORECASE,
)
_QUERY_NAMES = re.compile(_NAMES.pattern + r"|key|code|state|nonce|otp|sig", re.IGNORECASE)
_LOOKS = re.compile(r"(?i:\bbearer\s+)[^\s\"',;\\]{6,}|\bsb_secret_[\w-]+|\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}")


def scrub(line: str) -> str:
    """Hide bearer tokens, secret API keys and JWTs wherever they stand in a text."""
    folded = line.lower()
    # Looking for the words first is fifty times cheaper than the expression, and most lines have none.
    if "bearer" in folded or "sb_secret_" in folded or "eyj" in folded:
        return _LOOKS.sub(HIDDEN, line)
    return line


def redacted(fields: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return the fields with every value hidden whose name says that it is a secret."""
    return {
        str(name): HIDDEN if _NAMES.search(str(name)) and value is not None else _value(value, depth)
        for name, value in fields.items()
    }


def redacted_query(query: str) -> str:
    """Return a query string, at most `MAX_QUERY` characters of it, without the values of secret parameters."""
    return "&".join(_pair(pair) for pair in query[:MAX_QUERY].split("&"))


def one_line(text: str) -> str:
    """Return `text` with control characters, line and paragraph separators and the like written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return redacted(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [_value(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and value and _QUERY_NAMES.search(unquote_plus(name)) else pair
