"""The ``select`` parameter: columns, aggregates, and related rows inside one another."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from kernel.contracts.queries import Aggregate, Embed, Item, Selected
from plugins.rest.errors import RestError
from plugins.rest.language import grammar
from plugins.rest.language.scanner import END, Backtrack, Scanner, parse

MAX_EMBEDS = 100
"""How many related tables a selection may hold in all: each is a join."""

_FUNCTIONS = ("sum", "avg", "count", "max", "min")
_FUNCTION = re.compile("|".join(_FUNCTIONS))


class Selection(msgspec.Struct, frozen=True):
    """What may be selected: `aggregates` at all, and how many embeds inside one another."""

    aggregates: bool = False
    embedding_depth: int = 10

    def parse(self, text: str) -> tuple[Selected, ...]:
        """Read the value of ``select``; raises `RestError` PGRST100 or PGRST123."""
        items = parse(text, "select parameter", lambda s: self._items(s, self.embedding_depth))
        if _embeds(items) > MAX_EMBEDS:
            raise RestError(400, "PGRST100", f"a selection holds at most {MAX_EMBEDS} related tables")
        return items

    def _items(self, s: Scanner, depth: int) -> tuple[Selected, ...]:
        grammar.space(s)
        if s.at_end or s.peek() == ")":
            return ()
        return tuple(grammar.separated(s, lambda s: self._item(s, depth)))

    def _item(self, s: Scanner, depth: int) -> Selected:
        grammar.space(s)
        spread = s.text.startswith("...", s.pos)
        _miss_item(s)
        embed = _spread_head(s) if spread else s.attempt(_embed_head, silent=True)
        if embed is None:
            return self._column(s)
        if not depth:
            raise RestError(400, "PGRST100", f"related rows nest at most {self.embedding_depth} deep")
        s.expect("(")
        items = self._items(s, depth - 1)
        grammar.space(s)
        s.expect(")")
        return msgspec.structs.replace(embed, items=items)

    def _column(self, s: Scanner) -> Selected:
        if s.attempt(_star):
            return Item()
        found = s.attempt(_count, silent=True) or _field(s)
        if isinstance(found, Aggregate) and not self.aggregates:
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
        return found


def _embeds(items: tuple[Selected, ...]) -> int:
    return sum(1 + _embeds(item.items) for item in items if isinstance(item, Embed))


def _spread_head(s: Scanner) -> Embed:
    s.pos += 3
    return _relation(s, None, spread=True)


def _embed_head(s: Scanner) -> Embed:
    alias = s.attempt(_alias)
    return _relation(s, alias, spread=False)


def _relation(s: Scanner, alias: str | None, *, spread: bool) -> Embed:
    """Read the name of what is embedded and how, up to the parenthesis that follows."""
    name = grammar.field_name(s)
    if name == "count" and not spread:
        raise Backtrack
    hints: list[str] = []
    joins: list[str] = []
    for _ in range(2):
        if not s.accept("!"):
            break
        word = grammar.field_name(s)
        (joins if word in ("inner", "left") else hints).append(word)
    if s.peek() != "(":
        raise s.fail('"("')
    return Embed(name, next(iter(hints), None), alias, inner=joins[:1] == ["inner"], spread=spread)


def _miss_item(s: Scanner) -> None:
    for label in ('"..."', grammar.FIELD_NAME, '"*"', '"count()"'):
        s.miss(label)


def _star(s: Scanner) -> bool:
    s.expect("*")
    _item_end(s)
    return True


def _count(s: Scanner) -> Aggregate:
    alias = s.attempt(_alias)
    s.expect("count()")
    cast = _cast(s)
    _item_end(s)
    return Aggregate("count", alias=alias, result_cast=cast)


def _field(s: Scanner) -> Item | Aggregate:
    alias = s.attempt(_alias, silent=True)
    found = grammar.field(s)
    cast = _cast(s)
    function = _function(s)
    if function is None:
        _item_end(s)
        return Item(found, alias, cast)
    result_cast = _cast(s)
    _item_end(s)
    return Aggregate(function, found, alias, cast, result_cast)


def _function(s: Scanner) -> Any:
    """Read the call of an aggregate function behind a dot; None where there is no dot."""
    if not s.accept("."):
        return None
    function = s.match(_FUNCTION)
    if function is None:
        for name in _FUNCTIONS:
            s.miss_word(name)
        raise Backtrack
    s.expect("()")
    return function


def _alias(s: Scanner) -> str:
    name = grammar.field_name(s)
    s.expect(":")
    if s.peek() == ":":
        raise Backtrack
    return name


def _cast(s: Scanner) -> str | None:
    return grammar.identifier(s) if s.accept("::") else None


def _item_end(s: Scanner) -> None:
    grammar.space(s)
    if s.peek() == ")":
        return
    s.miss('")"')
    if s.peek() == ",":
        return
    s.miss('","')
    if not s.at_end:
        raise s.fail(END)
