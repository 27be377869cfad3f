"""``tsquery``: read, written, made of text in four manners, and freed of words that are too common to look for."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.search import words
from plugins.database.sqlite.values.search.documents import quoted

_STEP = re.compile(
    r"\s*(?:(?P<sign>[()&|!])|(?P<phrase><(?:-|\d+)>)"
    r"|(?:'(?P<quoted>(?:[^'\\]|''|\\.)*)'|(?P<bare>(?:[^\s'\\:()&|!<]|\\.)+))(?::(?P<flags>[A-Da-d*]*))?)",
    re.DOTALL,
)
_FARTHEST = 16384
_BINDING = {"|": 1, "&": 2, "<": 3}


class Lexeme(NamedTuple):
    """A lexeme to look for, of some weights only or as the beginning of others; None for a word that is left out."""

    text: str | None
    weights: str = ""
    prefix: bool = False


class Not(NamedTuple):
    """What must not be there."""

    of: Query


class Both(NamedTuple):
    """Two parts joined by ``&``, ``|``, or ``<`` at a distance."""

    sign: str
    left: Query
    right: Query
    distance: int = 1


Query = Lexeme | Not | Both


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Query | None:
    """Read a tsquery, None for an empty one; raises 42601 where that fails."""
    return _Reader(text, None).query()


class _Reader:
    """Reads operators and operands; with a configuration, an operand is a text to be made lexemes of."""

    def __init__(self, text: str, configuration: str | None) -> None:
        self._text = text
        self._configuration = configuration
        self._steps: list[re.Match[str]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _STEP.match(text, at)
            if match is None:
                raise self._wrong()
            self._steps.append(match)
            at = match.end()
        self._at = 0

    def query(self) -> Query | None:
        if not self._steps:
            return None
        found = self._joined(1)
        if self._at < len(self._steps):
            raise self._wrong()
        return found

    def _wrong(self) -> DatabaseError:
        return DatabaseError(f'syntax error in tsquery: "{self._text}"', sqlstate="42601")

    def _peek(self) -> str:
        if self._at == len(self._steps):
            return ""
        match = self._steps[self._at]
        return "<" if match["phrase"] else match["sign"] or ""

    def _joined(self, least: int) -> Query:
        left = self._operand()
        while (binding := _BINDING.get(self._peek(), 0)) >= least:
            sign, match = self._peek(), self._steps[self._at]
            self._at += 1
            right = self._joined(binding + 1)
            left = Both(sign, left, right, _distance(match["phrase"]) if sign == "<" else 1)
        return left

    def _operand(self) -> Query:
        if self._at == len(self._steps):
            raise self._wrong()
        match = self._steps[self._at]
        self._at += 1
        if match["sign"] == "!":
            return Not(self._operand())
        if match["sign"] == "(":
            found = self._joined(1)
            if self._peek() != ")":
                raise self._wrong()
            self._at += 1
            return found
        if match["sign"] or match["phrase"]:
            raise self._wrong()
        text = match["quoted"].replace("''", "'") if match["quoted"] is not None else match["bare"]
        text = re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
        flags = (match["flags"] or "").upper()
        weights = "".join(letter for letter in "ABCD" if letter in flags)
        if self._configuration is None:
            return Lexeme(text, weights, "*" in flags)
        return _phrase(
            [Lexeme(one, weights, "*" in flags) for one in words.lexemes(text, self._configuration)]
        )


def _distance(sign: str) -> int:
    distance = 1 if sign == "<->" else int(sign[1:-1])
    if distance > _FARTHEST:
        raise DatabaseError(
            f"distance in phrase operator must be an integer value between zero and {_FARTHEST} inclusive",
            sqlstate="22023",
        )
    return distance


def _phrase(lexemes: list[Lexeme]) -> Query:
    return _all(lexemes, "<")


def _all(parts: list[Lexeme] | list[Query], sign: str) -> Query:
    if not parts:
        return Lexeme(None)
    return functools.reduce(lambda left, right: Both(sign, left, right), parts)


def write(query: Query | None) -> str:
    """Return the text form."""
    return "" if query is None else _written(query, 0)


def _written(query: Query, around: int, *, right: bool = False) -> str:
    if isinstance(query, Lexeme):
        flags = ("*" if query.prefix else "") + query.weights
        return quoted(query.text or "") + (f":{flags}" if flags else "")
    if isinstance(query, Not):
        inner = _written(query.of, 4)
        return f"!{inner}"
    binding = _BINDING[query.sign]
    sign = query.sign if query.sign != "<" else "<->" if query.distance == 1 else f"<{query.distance}>"
    text = f"{_written(query.left, binding)} {sign} {_written(query.right, binding, right=True)}"
    needs = binding < around or (right and query.sign == "<" and binding == around)
    return f"( {text} )" if needs else text


def without_stops(query: Query | None) -> Query | None:
    """Return a query without words that are left out; a phrase keeps the distances between those that stay."""
    return None if query is None else _clean(query)[0]


def _clean(query: Query) -> tuple[Query | None, int, int]:
    """Return what stays, and how far what went had pushed things apart on the left and on the right."""
    if isinstance(query, Lexeme):
        return (None if query.text is None else query), 0, 0
    if isinstance(query, Not):
        inner, before, after = _clean(query.of)
        return (None if inner is None else Not(inner)), before, after
    left, left_before, left_after = _clean(query.left)
    right, right_before, right_after = _clean(query.right)
    is_phrase = query.sign == "<"
    own = query.distance if is_phrase else 0
    if left is None and right is None:
        gap = left_before + own + right_before if is_phrase else max(left_before, right_before)
        return None, gap, gap
    if left is None:
        return right, (left_before + own + right_before if is_phrase else right_before), right_after
    if right is None:
        return left, left_before, (left_after + own + right_after if is_phrase else left_after)
    if is_phrase:
        distance = query.distance + left_after + right_before
        return Both("<", left, right, distance), left_before, right_after
    return Both(query.sign, left, right), 0, 0


def read(value: Any) -> str | None:
    """Read ``tsquery`` from any of its forms into the normal one."""
    return None if value is None else write(parse(str(value)))


def from_operators(configuration: str | None, text: str | None) -> str | None:
    """Return ``to_tsquery``: the text has operators, its operands are words."""
    if configuration is None or text is None:
        return None
    return write(without_stops(_Reader(text, words.check(configuration)).query()))


def from_words(configuration: str | None, text: str | None) -> str | None:
    """Return ``plainto_tsquery``: all of the text's words."""
    if configuration is None or text is None:
        return None
    return write(without_stops(_all([Lexeme(one) for one in words.lexemes(text, configuration)], "&")))


def from_phrase(configuration: str | None, text: str | None) -> str | None:
    """Return ``phraseto_tsquery``: the text's words in their order."""
    if configuration is None or text is None:
        return None
    return write(without_stops(_phrase([Lexeme(one) for one in words.lexemes(text, configuration)])))


_WEB = re.compile(r'(?P<minus>-(?=[\w"]))|"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+)')


def from_web(configuration: str | None, text: str | None) -> str | None:
    """Return ``websearch_to_tsquery``: words, phrases in double quotes, ``or``, and ``-`` for what must not be."""
    if configuration is None or text is None:
        return None
    groups: list[list[Query]] = [[]]
    negated = False
    matches = list(_WEB.finditer(text))
    for place, match in enumerate(matches):
        word = match["word"]
        if match["minus"]:
            negated = True
            continue
        is_or = word is not None and word.lower() == "or" and not negated
        if is_or and groups[-1] and place + 1 < len(matches):
            groups.append([])
            continue
        part = _phrase([Lexeme(one) for one in words.lexemes(match["phrase"] or word or "", configuration)])
        groups[-1].append(Not(part) if negated else part)
        negated = False
    return write(without_stops(_any([_all(group, "&") for group in groups if group])))


def _any(parts: list[Query]) -> Query:
    return _all(parts, "|")


def joined(left: str | None, right: str | None, sign: str, distance: int = 1) -> str | None:
    """Return two queries as one; an empty one adds nothing."""
    if left is None or right is None:
        return None
    one, other = parse(left), parse(right)
    if one is None or other is None:
        return write(one or other)
    return write(Both(sign, one, other, distance))


def negated(text: str | None) -> str | None:
    """Return the query for what does not match."""
    if text is None:
        return None
    query = parse(text)
    return "" if query is None else write(Not(query))


def count(text: str | None) -> int | None:
    """Return the number of lexemes and operators."""
    if text is None:
        return None
    query = parse(text)
    return 0 if query is None else _count(query)


def _count(query: Query) -> int:
    if isinstance(query, Lexeme):
        return 1
    return 1 + (_count(query.of) if isinstance(query, Not) else _count(query.left) + _count(query.right))
