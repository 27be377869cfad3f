"""``tsvector``: lexemes with the places where they stand, kept in PostgreSQL's text form."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.search import words

_MOST_PLACES, _LAST_PLACE = 255, 16383
_ITEM = re.compile(
    r"\s*(?:'((?:[^'\\]|''|\\.)*)'|((?:[^\s'\\:]|\\.)+))(?::((?:\d+[A-Da-d*]?,?)+))?(?=\s|$)", re.DOTALL
)
_PLACE = re.compile(r"(\d+)([A-Da-d*]?)")

Places = dict[int, str]
"""Places in a text, each with its weight from ``A`` to ``D``."""


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Mapping[str, Places]:
    """Read a tsvector; raises 42601 where that fails."""
    found: dict[str, Places] = {}
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _ITEM.match(stripped, at)
        if match is None or not match[0]:
            raise DatabaseError(f'syntax error in tsvector: "{text}"', sqlstate="42601")
        quoted = match[1] is not None
        lexeme = re.sub(r"\\(.)", r"\1", match[1].replace("''", "'") if quoted else match[2], flags=re.DOTALL)
        places = found.setdefault(lexeme, {})
        for place, weight in _PLACE.findall(match[3] or ""):
            _put(places, int(place), "A" if weight == "*" else weight.upper() or "D")
        at = match.end()
    return found


def _put(places: Places, place: int, weight: str) -> None:
    """Add a place; of two weights at one the heavier counts."""
    if place < 1:
        raise DatabaseError("wrong position info in tsvector", sqlstate="42601")
    place = min(place, _LAST_PLACE)
    if place in places:
        places[place] = min(places[place], weight)
    elif len(places) < _MOST_PLACES:
        places[place] = weight


def quoted(lexeme: str) -> str:
    """Return a lexeme as tsvector and tsquery write it."""
    return "'" + lexeme.replace("'", "''").replace("\\", "\\\\") + "'"


def write(found: Mapping[str, Places]) -> str:
    """Return the text form: lexemes in the order of their bytes."""
    pieces = []
    for lexeme in sorted(found, key=str.encode):
        places = ",".join(
            f"{place}{weight if weight != 'D' else ''}" for place, weight in sorted(found[lexeme].items())
        )
        pieces.append(f"{quoted(lexeme)}:{places}" if places else quoted(lexeme))
    return " ".join(pieces)


def read(value: Any) -> str | None:
    """Read ``tsvector`` from any of its forms into the normal one."""
    return None if value is None else write(parse(str(value)))


def from_text(configuration: str | None, text: str | None) -> str | None:
    """Return ``to_tsvector`` of a text."""
    if configuration is None or text is None:
        return None
    found: dict[str, Places] = {}
    for place, lexeme in enumerate(words.lexemes(text, configuration), 1):
        if lexeme is not None:
            _put(found.setdefault(lexeme, {}), place, "D")
    return write(found)


def from_document(configuration: str | None, document: str | None) -> str | None:
    """Return ``to_tsvector`` of the texts in a JSON document; between two of them a place is left free."""
    if configuration is None or document is None:
        return None
    found: dict[str, Places] = {}
    start = 0
    for text in _texts(msgspec.json.decode(document)):
        place = start
        for place, lexeme in enumerate(words.lexemes(text, configuration), start + 1):
            if lexeme is not None:
                _put(found.setdefault(lexeme, {}), place, "D")
        start = place + 1
    return write(found)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


def concatenate(left: str | None, right: str | None) -> str | None:
    """Return both as one document: the second's places follow the first's last."""
    if left is None or right is None:
        return None
    found = {lexeme: dict(places) for lexeme, places in parse(left).items()}
    shift = max((place for places in found.values() for place in places), default=0)
    for lexeme, places in parse(right).items():
        own = found.setdefault(lexeme, {})
        for place, weight in places.items():
            _put(own, place + shift, weight)
    return write(found)


def weighted(text: str | None, weight: str | None) -> str | None:
    """Return a document whose places all have one weight."""
    if text is None or weight is None:
        return None
    letter = weight.upper()
    if letter not in ("A", "B", "C", "D"):
        raise DatabaseError(f'unrecognized weight: "{weight}"', sqlstate="22023")
    return write({lexeme: dict.fromkeys(places, letter) for lexeme, places in parse(text).items()})


def stripped(text: str | None) -> str | None:
    """Return a document without places."""
    return None if text is None else write({lexeme: {} for lexeme in parse(text)})


def length(text: str | None) -> int | None:
    """Return how many lexemes there are."""
    return None if text is None else len(parse(text))


def configuration(value: Any) -> str | None:
    """Read ``regconfig``: the name of a configuration."""
    return None if value is None else words.check(str(value))
