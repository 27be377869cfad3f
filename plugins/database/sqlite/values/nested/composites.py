"""Whole rows as text, in the form in which PostgreSQL writes and reads them: ``(1,"a b",)``."""

from __future__ import annotations

import re

from kernel.contracts.database import DatabaseError

_QUOTED = re.compile(r'[(),"\\ \t\n\r\f\v]')
_PIECE = re.compile(r'"((?:[^"\\]|\\.|"")*)"|\\(.)|([^"\\(),]+|\()|([,)])', re.DOTALL)
_ESCAPED = re.compile(r'\\(.)|""', re.DOTALL)


def write(*values: str | None) -> str:
    """Return a row, given its values as text."""
    return f"({','.join('' if value is None else _quoted(value) for value in values)})"


def _quoted(value: str) -> str:
    if value and not _QUOTED.search(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'


def field(row: str | None, place: int) -> str | None:
    """Return one value of a row as text; None where the row or the value is null."""
    return None if row is None else read(row)[place]


def admit(row: str | None, count: int) -> str | None:
    """Return a row that somebody wrote, if it has so many values; raises 22P02."""
    if row is not None and len(read(row)) != count:
        raise malformed(row)
    return row


def read(row: str) -> list[str | None]:
    """Return a row's values as text; raises 22P02 for what is no row."""
    text = row.strip(" \t\n\r\f\v")
    if not text.startswith("("):
        raise malformed(row)
    values: list[str | None] = []
    value, place = None, 1
    while (match := _PIECE.match(text, place)) is not None:
        place = match.end()
        quoted, escaped, bare, end = match.groups()
        if end is None:
            piece = _ESCAPED.sub(_plain, quoted) if quoted is not None else escaped or bare
            value = (value or "") + piece
            continue
        values.append(value)
        value = None
        if end == ")":
            break
    if place != len(text) or not text.endswith(")"):
        raise malformed(row)
    return values


def _plain(match: re.Match[str]) -> str:
    return match[1] or '"'


def malformed(row: str) -> DatabaseError:
    """Return the error for a text that is no row."""
    return DatabaseError(f'malformed record literal: "{row}"', sqlstate="22P02")
