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
        raise DatabaseError(f'malformed array literal: "{literal}"', sqlstate="22P02")
    inner = text[1:-1]
    found: list[str | None] = []
    position = 0
    while position < len(inner) or (found and inner.endswith(",") and position == len(inner)):
        match = _ELEMENT.match(inner, position)
        if match is None:
            if not inner.strip():
                break
            raise DatabaseError(f'malformed array literal: "{literal}"', sqlstate="22P02")
        if match[1] is not None:
            found.append(_ESCAPE.sub(r"\1", match[1]))
        else:
            word = match[2].strip()
            found.append(None if word.upper() == "NULL" else _ESCAPE.sub(r"\1", word))
        position = match.end()
    return found
