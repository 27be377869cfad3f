"""Whether a document matches a query (``@@``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plugins.database.sqlite.values.search import documents, queries
from plugins.database.sqlite.values.search.documents import Places
from plugins.database.sqlite.values.search.queries import Lexeme, Not, Query


class _Found(NamedTuple):
    """Where a part of a phrase ends, or with `negated` where it does not; `width` is how far it reaches back."""

    places: frozenset[int]
    negated: bool = False
    width: int = 0


def matches(document: str | None, query: str | None) -> int | None:
    """Tell whether a document matches a query; an empty query matches nothing."""
    if document is None or query is None:
        return None
    wanted = queries.parse(query)
    return int(wanted is not None and _holds(wanted, documents.parse(document)))


def _holds(query: Query, document: Mapping[str, Places]) -> bool:
    if isinstance(query, Lexeme):
        return any(_is_weighted(query, places) for places in _entries(query, document))
    if isinstance(query, Not):
        return not _holds(query.of, document)
    if query.sign == "&":
        return _holds(query.left, document) and _holds(query.right, document)
    if query.sign == "|":
        return _holds(query.left, document) or _holds(query.right, document)
    found = _phrase(query, document)
    return found.negated or bool(found.places)


def _entries(query: Lexeme, document: Mapping[str, Places]) -> list[Places]:
    text = query.text or ""
    if query.prefix:
        return [places for lexeme, places in document.items() if lexeme.startswith(text)]
    return [document[text]] if text in document else []


def _is_weighted(query: Lexeme, places: Places) -> bool:
    return not query.weights or any(weight in query.weights for weight in places.values())


def _phrase(query: Query, document: Mapping[str, Places]) -> _Found:
    if isinstance(query, Lexeme):
        return _Found(
            frozenset(
                place
                for places in _entries(query, document)
                for place, weight in places.items()
                if not query.weights or weight in query.weights
            )
        )
    if isinstance(query, Not):
        inner = _phrase(query.of, document)
        return _Found(inner.places, not inner.negated, inner.width)
    left, right = _phrase(query.left, document), _phrase(query.right, document)
    if query.sign == "<":
        return _together(
            left, right, query.distance + right.width, 0, query.distance + left.width + right.width
        )
    width = max(left.width, right.width)
    if query.sign == "&":
        return _together(left, right, width - left.width, width - right.width, width)
    # One or the other is what is not missing in both.
    turned = _together(
        left._replace(negated=not left.negated), right._replace(negated=not right.negated),
        width - left.width, width - right.width, width,
    )  # fmt: skip
    return turned._replace(negated=not turned.negated)


def _together(left: _Found, right: _Found, left_shift: int, right_shift: int, width: int) -> _Found:
    ones = frozenset(place + left_shift for place in left.places)
    others = frozenset(place + right_shift for place in right.places)
    if left.negated and right.negated:
        return _Found(ones | others, True, width)
    if left.negated:
        return _Found(others - ones, False, width)
    if right.negated:
        return _Found(ones - others, False, width)
    return _Found(ones & others, False, width)
