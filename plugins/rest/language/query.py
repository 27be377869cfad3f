"""A query string, taken apart into what it selects, filters, orders and limits."""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from urllib.parse import quote, unquote_plus

import msgspec

from kernel.contracts.queries import ALL, Comparison, Condition, Field, Order, Selected
from plugins.rest.errors import RestError, not_embedded
from plugins.rest.language import filters, grammar
from plugins.rest.language.scanner import parse

MAX_PARAMETERS = 2000
"""How many parameters a query string may have."""

_STRUCTURAL = frozenset({"order", "limit", "offset", "and", "or"})
_KEY = "apikey"
_LARGEST = 2**63 - 1
_SAFE = re.compile(r"[A-Za-z0-9_.~-]*")


class Query(msgspec.Struct, frozen=True):
    """What a query string says; `columns` and `on_conflict` are None where it does not say.

    `limit` and `offset` are as given; a limit below zero is still to be refused.
    """

    items: tuple[Selected, ...] = ALL
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None

    def key_values(self) -> dict[str, str] | None:
        """Return the values that plain ``eq`` filters give to columns; None if there is any other filter."""
        values = {}
        for condition in self.where:
            if not isinstance(condition, Comparison) or condition.operator != "eq" or condition.negated:
                return None
            if condition.field.path or condition.quantifier or condition.field.column in values:
                return None
            values[condition.field.column] = condition.value
        return values


class Parsed(msgspec.Struct, frozen=True):
    """A query, and its parameters sorted and encoded in one way, for Content-Location."""

    query: Query
    canonical: str = ""


class QueryParser:
    """Parses query strings and remembers the latest `size` of them, and of their parts that recur most."""

    _LONGEST_KEPT = 2000

    def __init__(self, size: int = 1000) -> None:
        self._parsed = lru_cache(size)(self._parse)
        self._select = lru_cache(size)(lambda text: parse(text, "select parameter", grammar.select))
        self._order = lru_cache(size)(lambda text: parse(text, "order", grammar.order))
        self._quoted = lru_cache(size)(_quoted)

    def parse(self, text: str) -> Parsed:
        """Parse an undecoded query string; raises `RestError`."""
        return self._parsed(text) if len(text) <= self._LONGEST_KEPT else self._parse(text)

    def _parse(self, text: str) -> Parsed:
        if not text:
            return Parsed(Query())
        pairs = _pairs(text)
        found = _Collector()
        for key, value in pairs:
            found.add(key, value)
        return Parsed(self._query(found.where, found.single), self._canonical(pairs))

    def _query(self, where: list[Condition], single: dict[str, str]) -> Query:
        select, order = single.get("select"), single.get("order")
        columns, on_conflict = single.get("columns"), single.get("on_conflict")
        return Query(
            ALL if select is None else self._select(select),
            tuple(where),
            () if order is None else self._order(order),
            _integer(single.get("limit")),
            max(_integer(single.get("offset")) or 0, 0),
            None if columns is None else parse(columns, "columns parameter", grammar.columns),
            None if on_conflict is None else parse(on_conflict, "on_conflict parameter", grammar.columns),
        )

    def _canonical(self, pairs: list[tuple[str, str]]) -> str:
        quoted = self._quoted
        return "&".join(f"{quoted(key)}={quoted(value)}" for key, value in sorted(pairs, key=itemgetter(0)))


def _quoted(text: str) -> str:
    return text if _SAFE.fullmatch(text) else quote(text, safe="")


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return names and values, decoded; a name without a value is left out, and so is the caller's API key.

    (A column of the key's name is filtered by as ``"apikey"``, in quotes.)
    """
    parts = text.split("&")
    if len(parts) > MAX_PARAMETERS:
        message = f"a query string has at most {MAX_PARAMETERS} parameters"
        raise RestError(400, "PGRST100", message)
    pairs = []
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key != _KEY:
            pairs.append((_decoded(key), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    decoded = unquote_plus(text)
    if "\x00" in decoded:
        raise RestError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return decoded


class _Collector:
    """Gathers parameters: filters and logic trees in their order, of other repeated ones the first."""

    def __init__(self) -> None:
        self.where: list[Condition] = []
        self.single: dict[str, str] = {}

    def add(self, key: str, value: str) -> None:
        """Take one parameter."""
        if key in ("select", "columns", "on_conflict"):
            self.single.setdefault(key, value)
            return
        last = key.rpartition(".")[2]
        if last not in _STRUCTURAL:
            self.where.append(filters.condition(_root_field(key), value))
        elif last in ("and", "or"):
            *parents, _ = _logic_path(key)
            embedded = [name for name in parents if name != "not"]
            if embedded:
                raise not_embedded(embedded[0])
            self.where.append(filters.logic(last, bool(parents), value))
        elif key == last:
            self.single.setdefault(key, value)
        else:
            raise not_embedded(parse(key, "tree path", grammar.path)[0][0])


def _root_field(key: str) -> Field:
    if key.isidentifier():
        return Field(key)
    parents, field = parse(key, "tree path", grammar.path)
    if parents:
        raise not_embedded(parents[0])
    return field


def _logic_path(key: str) -> list[str]:
    if key in ("and", "or", "not.and", "not.or"):
        return key.split(".")
    parents, field = parse(key, "logic path", grammar.path)
    return [*parents, field.column]


def _integer(text: str | None) -> int | None:
    """Return the number, or None: PostgREST ignores what is not one."""
    if text is None or len(text) > 20:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return max(min(int(text), _LARGEST), -_LARGEST)
