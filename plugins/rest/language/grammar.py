"""The words of PostgREST's query language: names, JSON paths, order terms and column lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeVar

from kernel.contracts.queries import Field, Order, Step
from plugins.rest.errors import RestError
from plugins.rest.language.scanner import END, Backtrack, Scanner

T = TypeVar("T")

MAX_TERMS = 2000
"""How many terms a list of columns, select items or order terms may have."""

FIELD_NAME = "field name (* or [a..z0..9_$])"
_KEY_NAME = "any non reserved character different from: .,>()"

_SPACE = re.compile(r"[ \t]*")
_IDENTIFIER = re.compile(r"[\w $]+")
_KEY = re.compile(r"[^(\-:.,>)]+")
_INDEX = re.compile(r"-?[0-9]+(?=->|::|\.|,|$)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def space(s: Scanner) -> None:
    """Skip blanks."""
    s.match(_SPACE)


def token(s: Scanner, text: str) -> None:
    """Read `text` with blanks around it."""
    space(s)
    s.expect(text)
    space(s)


def quoted(s: Scanner) -> str | None:
    """Read a double-quoted text, a backslash escaping what follows; None where none begins here."""
    if s.peek() != '"':
        return None
    found = s.match(_QUOTED)
    if found is None:
        raise s.fail('"\\""', at=len(s.text))
    return _ESCAPE.sub(r"\1", found[1:-1]) if "\\" in found else found[1:-1]


def field_name(s: Scanner) -> str:
    """Read a name: bare words joined by dashes, or quoted."""
    start = s.pos
    text = quoted(s)
    if text is not None:
        return text
    words: list[str] = []
    while True:
        word = s.match(_IDENTIFIER)
        if word is None:
            if not words:
                raise s.fail(FIELD_NAME, at=start)
            raise _identifier_ended(s)
        words.append(word.strip())
        if s.peek() != "-" or s.text.startswith("->", s.pos):
            _identifier_ended(s)
            s.miss('"-"')
            return "-".join(words)
        s.pos += 1


def _identifier_ended(s: Scanner) -> Backtrack:
    s.miss("letter")
    return s.fail("digit")


def json_path(s: Scanner) -> tuple[Step, ...]:
    """Read steps into JSON (``->key``, ``->>0``); none is fine."""
    steps: list[Step] = []
    while True:
        if s.accept("->>"):
            steps.append(Step(_operand(s), as_text=True))
        elif s.accept("->"):
            steps.append(Step(_operand(s)))
        else:
            return tuple(steps)


def _operand(s: Scanner) -> str | int:
    index = s.match(_INDEX)
    if index is not None:
        if len(index) > 10:
            raise RestError(400, "22003", f'value "{index}" is out of range for type integer')
        return int(index)
    if s.peek() == "-":
        s.pos += 1
        raise s.fail("digit")
    s.miss('"-"')
    s.miss("digit")
    start = s.pos
    text = quoted(s)
    if text is not None:
        return text
    words: list[str] = []
    while True:
        word = s.match(_KEY)
        if word is None:
            raise s.fail(_KEY_NAME, at=start if not words else None)
        words.append(word.strip())
        if s.peek() != "-" or s.text.startswith("->", s.pos):
            return "-".join(words)
        s.pos += 1


def identifier(s: Scanner) -> str:
    """Read a bare word, as a type's or a language's name is."""
    word = s.match(_IDENTIFIER)
    if word is None:
        raise _identifier_ended(s)
    return word.strip()


def field(s: Scanner) -> Field:
    """Read a column with its JSON path, blanks around it."""
    space(s)
    name = field_name(s)
    path = json_path(s)
    space(s)
    return Field(name, path)


def separated(s: Scanner, rule: Callable[[Scanner], T]) -> list[T]:
    """Read what `rule` reads, once or more, separated by commas with blanks around them."""
    found = [rule(s)]
    while True:
        space(s)
        if not s.accept(","):
            return found
        if len(found) == MAX_TERMS:
            raise RestError(400, "PGRST100", f"a list has at most {MAX_TERMS} terms")
        space(s)
        found.append(rule(s))


def order(s: Scanner) -> tuple[Order, ...]:
    """Read the value of ``order``."""
    return tuple(separated(s, _order_term))


def _order_term(s: Scanner) -> Order:
    space(s)
    related = s.attempt(_related, silent=True)
    name, found = related if related is not None else (None, field(s))
    direction = _one_of(s, "asc", "desc")
    nulls = _one_of(s, "nullsfirst", "nullslast")
    space(s)
    if not s.at_end and s.peek() != ",":
        if direction is None and nulls is None:
            s.miss("delimiter (.)")
        s.miss('","')
        raise s.fail(END)
    return Order(found, direction == "desc", _NULLS[nulls], name)


_NULLS: dict[str | None, Literal["first", "last"] | None] = {
    None: None,
    "nullsfirst": "first",
    "nullslast": "last",
}


def _related(s: Scanner) -> tuple[str, Field]:
    name = field_name(s)
    s.expect("(")
    found = field(s)
    s.expect(")")
    return name, found


def _one_of(s: Scanner, *words: str) -> str | None:
    if s.peek() != ".":
        s.miss("delimiter (.)")
        return None
    for word in words:
        s.pos += 1
        if s.accept(word):
            return word
        s.pos -= 1
    return None


def columns(s: Scanner) -> tuple[str, ...]:
    """Read a list of column names, as in ``columns`` and ``on_conflict``."""
    return tuple(separated(s, field_name))


def path(s: Scanner) -> tuple[tuple[str, ...], Field]:
    """Read a parameter's name: a field, behind the names of embedded resources it may belong to."""
    names = [field_name(s)]
    while s.accept("."):
        names.append(field_name(s))
    return tuple(names[:-1]), Field(names[-1], json_path(s))


def delimiter(s: Scanner) -> None:
    """Read a dot."""
    if s.peek() != ".":
        raise s.fail("delimiter (.)")
    s.pos += 1
