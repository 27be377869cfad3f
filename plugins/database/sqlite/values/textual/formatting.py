"""Text put together from values: ``format``, ``concat_ws``, and quoting for SQL."""

from __future__ import annotations

import re

from kernel.contracts.database import DatabaseError

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_PLACE = re.compile(r"%(?:(?P<number>[0-9]+)\$)?(?P<left>-)?(?P<width>[0-9]+)?(?P<kind>.?)", re.DOTALL)
_WIDEST = 1_000_000


def concat_ws(separator: str | None, *values: str | None) -> str | None:
    """Return the values that are not NULL with a separator between them."""
    return None if separator is None else separator.join(value for value in values if value is not None)


def quote_literal(value: str | None) -> str | None:
    """Return a text as a literal of SQL."""
    if value is None:
        return None
    text = value.replace("'", "''")
    return f"'{text}'" if "\\" not in text else "E'" + text.replace("\\", "\\\\") + "'"


def quote_ident(value: str | None) -> str | None:
    """Return a text as a name in SQL, quoted where it has to be."""
    if value is None:
        return None
    if _PLAIN_NAME.fullmatch(value) and not _is_keyword(value):
        return value
    return '"' + value.replace('"', '""') + '"'


def _is_keyword(word: str) -> bool:
    """Tell whether the grammar keeps a word for itself; PostgreSQL quotes those that it does not reserve as well."""
    from plugins.database import parser

    return parser.is_keyword(word)


def format_text(template: str | None, *values: str | None) -> str | None:
    """Return a template with values put in: ``%s`` as they are, ``%I`` as names, ``%L`` as literals."""
    if template is None:
        return None
    pieces, end, following = [], 0, 1
    for match in _PLACE.finditer(template):
        pieces.append(template[end : match.start()])
        end = match.end()
        if match["kind"] == "%":
            pieces.append("%")
            continue
        number = int(match["number"]) if match["number"] else following
        following = number + 1
        pieces.append(_padded(_formatted(match["kind"], number, values), match))
    return "".join([*pieces, template[end:]])


def _formatted(kind: str, number: int, values: tuple[str | None, ...]) -> str:
    if kind not in ("s", "I", "L"):
        message = (
            f'unrecognized format() type specifier "{kind}"'
            if kind
            else "unterminated format() type specifier"
        )
        raise DatabaseError(message, sqlstate="22023")
    if number == 0:
        raise DatabaseError(
            "format specifies argument 0, but arguments are numbered from 1", sqlstate="22023"
        )
    if number > len(values):
        raise DatabaseError("too few arguments for format()", sqlstate="22023")
    value = values[number - 1]
    if kind == "L":
        return quote_literal(value) or "NULL"
    if kind == "s":
        return value or ""
    name = quote_ident(value)
    if name is None:
        raise DatabaseError("null values cannot be formatted as an SQL identifier", sqlstate="22004")
    return name


def _padded(text: str, match: re.Match[str]) -> str:
    if not match["width"]:
        return text
    width = int(match["width"])
    if width > _WIDEST:
        raise DatabaseError("number is out of range", sqlstate="22003")
    return text.ljust(width) if match["left"] else text.rjust(width)
