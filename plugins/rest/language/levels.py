"""Which parameters belong to the table that was asked for, and which to the related rows inside its own."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kernel.contracts.queries import Condition, Embed, Field, Order, Selected
from plugins.rest.errors import RestError, bad_range, not_embedded
from plugins.rest.language import filters, grammar
from plugins.rest.language.scanner import parse

_STRUCTURAL = frozenset({"order", "limit", "offset", "and", "or"})
_LARGEST = 2**63 - 1


class Part(msgspec.Struct, frozen=True):
    """How levels are read: `order` parses the parameter of that name, and related rows are cut off at `max_rows`.

    Only what is `ranged` has limits and offsets.
    """

    order: Callable[[str], tuple[Order, ...]]
    max_rows: int | None
    ranged: bool


class Level:
    """A selection with the parameters that concern it: conditions in their order, of others the first."""

    def __init__(self, items: tuple[Selected, ...]) -> None:
        self.where: list[Condition] = []
        self._items = items
        self._single: dict[str, str] = {}
        self._inner: dict[int, Level] = {}

    def add(self, key: str, value: str) -> None:
        """Take one parameter, for this selection or one inside it; raises `RestError` PGRST100 or PGRST108."""
        last = key.rpartition(".")[2]
        if last not in _STRUCTURAL:
            parents, field = _path(key)
            self._at(parents).where.append(filters.condition(field, value))
        elif last in ("and", "or"):
            path = _logic_path(key)
            names = tuple(name for name in path if name != "not")
            negated = len(names) < len(path)
            self._at(names).where.append(filters.logic(last, negated, value))
        else:
            self._at(_path(key)[0])._single.setdefault(last, value)

    def take(self, key: str, value: str) -> str | None:
        """Take one parameter if it concerns a selection; return the name of the argument that it gives otherwise.

        It does unless its value reads as a filter's; raises as `add` does.
        """
        if key.rpartition(".")[2] in _STRUCTURAL:
            self.add(key, value)
            return None
        parents, field = _path(key)
        try:
            found = filters.condition(field, value)
        except RestError:
            if parents:
                raise
            return field.column
        self._at(parents).where.append(found)
        return None

    def _at(self, names: tuple[str, ...]) -> Level:
        level = self
        for name in names:
            level = level._embedded(name)
        return level

    def _embedded(self, name: str) -> Level:
        """Return the level of the embed that `name` means: the one so named, or else one of the table so named."""
        embeds = [(index, item) for index, item in enumerate(self._items) if isinstance(item, Embed)]
        named = [pair for pair in embeds if (pair[1].alias or pair[1].relation) == name]
        named = named or [pair for pair in embeds if pair[1].relation == name]
        if not named:
            raise not_embedded(name)
        index, embed = named[0]
        return self._inner.setdefault(index, Level(embed.items))

    def selected(self, part: Part) -> tuple[Selected, ...]:
        """Return the selection, each embed with the parameters that concern it."""
        if not self._inner and part.max_rows is None:
            return self._items
        return tuple(
            self._complete(index, item, part) if isinstance(item, Embed) else item
            for index, item in enumerate(self._items)
        )

    def _complete(self, index: int, embed: Embed, part: Part) -> Embed:
        level = self._inner.get(index) or Level(embed.items)
        limit, offset = level._range() if part.ranged else (None, 0)
        if part.max_rows is not None:
            limit = part.max_rows if limit is None else min(limit, part.max_rows)
        return msgspec.structs.replace(
            embed,
            items=level.selected(part),
            where=tuple(level.where),
            order=level.order(part),
            limit=limit,
            offset=offset,
        )

    def order(self, part: Part) -> tuple[Order, ...]:
        """Return the order of this level's rows."""
        text = self._single.get("order")
        return () if text is None else part.order(text)

    def _range(self) -> tuple[int | None, int]:
        limit = self.integer("limit")
        if limit is not None and limit < 0:
            raise bad_range("Limit should be greater than or equal to zero.")
        return limit, max(self.integer("offset") or 0, 0)

    def integer(self, name: str) -> int | None:
        """Return a parameter's number, or None: PostgREST ignores what is not one."""
        text = self._single.get(name)
        if text is None or len(text) > 20:
            return None
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            return None
        return max(min(int(text), _LARGEST), -_LARGEST)


def _path(key: str) -> tuple[tuple[str, ...], Field]:
    if key.isidentifier():
        return (), Field(key)
    return parse(key, "tree path", grammar.path)


def _logic_path(key: str) -> tuple[str, ...]:
    """Return what stands before the operator, ``not`` included."""
    if key in ("and", "or"):
        return ()
    return parse(key, "logic path", grammar.path)[0]
