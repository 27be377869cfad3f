"""PostgreSQL's array literals: ``{a,"b, c",NULL}``."""

from __future__ import annotations

import re

from kernel.contracts.database import DatabaseError

_ELEMENT = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^",{}\\]|\\.)+))\s*(,|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def elements(literal: str) -> list[str | None]:
    """Return the elements of a one-dimensional array literal; raises `DatabaseError` 22P02."""
    text = literal.strip()
    if len(text) < 2 or text[0] != "{" or text[-1] != "}":
        raise _malformed(literal)
    inner = text[1:-1]
    if not inner.strip():
        return []
    found: list[str | None] = []
    position = 0
    separator = ","
    while separator:
        match = _ELEMENT.match(inner, position)
        if match is None:
            raise _malformed(literal)
        found.append(_element(match, literal))
        position, separator = match.end(), match[3]
    return found


def _element(match: re.Match[str], literal: str) -> str | None:
    if match[1] is not None:
        return _ESCAPE.sub(r"\1", match[1])
    word = match[2].strip()
    if not word:
        raise _malformed(literal)
    return None if word.upper() == "NULL" else _ESCAPE.sub(r"\1", word)


def _malformed(literal: str) -> DatabaseError:
    return DatabaseError(f'malformed array literal: "{literal}"', sqlstate="22P02")
