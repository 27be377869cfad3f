"""A query string, taken apart into what it selects, filters, orders and limits."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from kernel.contracts.records import ALL, Comparison, Condition, Field, Item, Order
from plugins.rest import filters, grammar
from plugins.rest.errors import RestError, not_embedded
from plugins.rest.scanner import parse

MAX_PARAMETERS = 2000
"""How many parameters a query string may have."""

_STRUCTURAL = frozenset({"order", "limit", "offset", "and", "or"})
_LARGEST = 2**63 - 1


class Query(msgspec.Struct, frozen=True):
    """What a query string says; `columns` and `on_conflict` are None where it does not say.

    `limit` and `offset` are as given; a limit below zero is still to be refused.
    """

    items: tuple[Item, ...] = ALL
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


def parse_query(text: str) -> Query:
    """Parse an undecoded query string; raises `RestError`."""
    if not text:
        return Query()
    found = _Collector()
    for key, value in _pairs(text):
        found.add(key, value)
    return found.query()


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        message = f"a query string has at most {MAX_PARAMETERS} parameters"
        raise RestError(400, "PGRST100", message) from error
    if "%00" in text:
        raise RestError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    valueless = {part for part in text.split("&") if "=" not in part}
    if not valueless:
        return pairs
    return parse_qsl("&".join(part for part in text.split("&") if "=" in part), keep_blank_values=True)


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

    def query(self) -> Query:
        """Return what was gathered."""
        single = self.single
        select, order = single.get("select"), single.get("order")
        columns, on_conflict = single.get("columns"), single.get("on_conflict")
        return Query(
            ALL if select is None else parse(select, "select parameter", grammar.select),
            tuple(self.where),
            () if order is None else parse(order, "order", grammar.order),
            _integer(single.get("limit")),
            max(_integer(single.get("offset")) or 0, 0),
            None if columns is None else parse(columns, "columns parameter", grammar.columns),
            None if on_conflict is None else parse(on_conflict, "on_conflict parameter", grammar.columns),
        )


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
