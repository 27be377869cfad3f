"""A query string, taken apart into what it selects, filters, orders and limits."""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from urllib.parse import quote, unquote_plus

import msgspec

from kernel.contracts.queries import ALL, Comparison, Condition, Order, Selected
from plugins.rest.errors import RestError
from plugins.rest.language import grammar
from plugins.rest.language.levels import Level, Part
from plugins.rest.language.scanner import parse
from plugins.rest.language.selection import Selection

MAX_PARAMETERS = 2000
"""How many parameters a query string may have."""

_WHOLE = frozenset({"select", "columns", "on_conflict"})
_DISTINCT = ("distinct", "true")
_KEY = "apikey"
_SAFE = re.compile(r"[A-Za-z0-9_.~-]*")


def is_cursor(key: str, value: str) -> bool:
    """Tell whether a parameter is a cursor; a filter by a column of that name has a dot in its value."""
    return key == "cursor" and "." not in value


class Query(msgspec.Struct, frozen=True):
    """What a query string says; `columns` and `on_conflict` are None where it does not say.

    `limit` and `offset` are as given; a limit below zero is still to be refused. `arguments` are a function's. `cursor`
    is empty for the first page, None where none is asked for.
    """

    items: tuple[Selected, ...] = ALL
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    distinct: bool = False
    arguments: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None

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
    """Parses query strings and remembers the latest `size` of them, and of their parts that recur most.

    `selection` says what may be selected; a read's related rows are at most `max_rows` of each parent's.
    """

    _LONGEST_KEPT = 2000

    def __init__(
        self, selection: Selection | None = None, max_rows: int | None = None, size: int = 1000
    ) -> None:
        self.max_rows = max_rows
        self._read = lru_cache(size)(self._parse_read)
        self._write = lru_cache(size)(self._parse_write)
        self._call = lru_cache(size)(self._parse_call)
        self._select = lru_cache(size)((selection or Selection()).parse)
        self._order = lru_cache(size)(lambda text: parse(text, "order", grammar.order))
        self._quoted = lru_cache(size)(_quoted)

    def parse(self, text: str) -> Parsed:
        """Parse the undecoded query string of a read; raises `RestError`."""
        return self._read(text) if len(text) <= self._LONGEST_KEPT else self._parse_read(text)

    def parse_write(self, text: str) -> Parsed:
        """Parse that of a write, whose answer holds all related rows, however many; raises `RestError`."""
        return self._write(text) if len(text) <= self._LONGEST_KEPT else self._parse_write(text)

    def parse_call(self, text: str) -> Parsed:
        """Parse that of a call that reads, which holds arguments as well; raises `RestError`."""
        return self._call(text) if len(text) <= self._LONGEST_KEPT else self._parse_call(text)

    def _parse_call(self, text: str) -> Parsed:
        return self._parse(text, self.max_rows, ranged=True, called=True)

    def _parse_read(self, text: str) -> Parsed:
        return self._parse(text, self.max_rows, ranged=True)

    def _parse_write(self, text: str) -> Parsed:
        return self._parse(text, None, ranged=False)

    def _parse(self, text: str, max_rows: int | None, *, ranged: bool, called: bool = False) -> Parsed:
        pairs = _pairs(text) if text else []
        single: dict[str, str] = {}
        for key, value in pairs:
            if key in _WHOLE:
                single.setdefault(key, value)
        select = single.get("select")
        level = Level(self._select(select) if select else ALL)
        arguments: list[tuple[str, str]] = []
        cursor: str | None = None
        for key, value in pairs:
            # A filter by a column of that name has an operator in front of its value.
            if key in _WHOLE or (not called and (key, value) == _DISTINCT):
                continue
            if ranged and not called and is_cursor(key, value):
                cursor = value
            elif not called:
                level.add(key, value)
            elif (name := level.take(key, value)) is not None:
                arguments.append((name, value))
        columns, on_conflict = single.get("columns"), single.get("on_conflict")
        part = Part(self._order, max_rows, ranged)
        query = Query(
            level.selected(part),
            tuple(level.where),
            level.order(part),
            level.integer("limit"),
            max(level.integer("offset") or 0, 0),
            None if columns is None else parse(columns, "columns parameter", grammar.columns),
            None if on_conflict is None else parse(on_conflict, "on_conflict parameter", grammar.columns),
            not called and _DISTINCT in pairs,
            tuple(arguments),
            cursor,
        )
        return Parsed(query, self._canonical(pairs))

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
