"""Templates: a query without its values, which tells what statement it needs, and the values apart."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kernel.contracts.queries import (
    Call,
    Comparison,
    Condition,
    Delete,
    Embed,
    Insert,
    Is,
    Logic,
    Membership,
    Search,
    Select,
    Selected,
    Update,
)
from kernel.contracts.records import Unsupported

MAX_DEPTH = 100
"""How deep conditions, and embeds, may nest."""

MAX_VALUES = 20_000
"""How many conditions a query may have: each binds one parameter, and engines limit them (SQLite 32,766)."""

Query = TypeVar("Query", bound=Select | Call | Insert | Update | Delete)


def template(query: Query) -> tuple[Query, list[Any]]:
    """Return a query in which each value is the name of a parameter instead, and the parameters' values in order.

    Parameters are ``v0``, ``v1`` and so on. An offset is 1 where there is one; the rows of a write, and what is checked
    or undone after it, are left out. So two queries need the same statement where their templates are equal. Raises
    `Unsupported` where there are too many conditions or they nest too deeply.
    """
    values: list[Any] = []
    if isinstance(query, Select):
        where, items = _conditions(query.where, values, 0), _items(query.items, values, 0)
        found: Any = Select(
            query.table,
            query.schema,
            items,
            where,
            query.order,
            query.limit,
            1 if query.offset > 0 else 0,
            query.counted,
            query.as_text,
            query.distinct,
            query.locked,
            query.planned,
        )
    elif isinstance(query, Call):
        where, items = _conditions(query.where, values, 0), _items(query.items, values, 0)
        offset = 1 if query.offset > 0 else 0
        found = msgspec.structs.replace(
            query,
            arguments="",
            where=where,
            items=items,
            offset=offset,
            single=False,
            max_affected=None,
            undo=False,
            explain=None,
        )
    elif isinstance(query, Insert):
        found = msgspec.structs.replace(
            query,
            rows="",
            size=0,
            single=False,
            undo=False,
            explain=None,
            returning=_returning(query.returning, values),
        )
    else:
        where, returning = _conditions(query.where, values, 0), _returning(query.returning, values)
        found = msgspec.structs.replace(
            query, where=where, returning=returning, single=False, undo=False, max_affected=None, explain=None
        )
        if isinstance(query, Update):
            found = msgspec.structs.replace(found, values="")
    if len(values) > MAX_VALUES:
        raise Unsupported(f"A query has at most {MAX_VALUES} conditions.")
    return found, values


def _returning(items: tuple[Selected, ...] | None, values: list[Any]) -> tuple[Selected, ...] | None:
    return None if items is None else _items(items, values, 0)


def _items(items: tuple[Selected, ...], values: list[Any], depth: int) -> tuple[Selected, ...]:
    for item in items:
        if isinstance(item, Embed):
            return tuple(_embed(one, values, depth) if isinstance(one, Embed) else one for one in items)
    return items


def _embed(embed: Embed, values: list[Any], depth: int) -> Embed:
    if depth >= MAX_DEPTH:
        raise Unsupported(f"Related rows nest at most {MAX_DEPTH} deep.")
    where = _conditions(embed.where, values, 0)
    return msgspec.structs.replace(embed, where=where, items=_items(embed.items, values, depth + 1))


def _conditions(conditions: tuple[Condition, ...], values: list[Any], depth: int) -> tuple[Condition, ...]:
    if not conditions:
        return conditions
    if depth > MAX_DEPTH:
        raise Unsupported(f"Conditions nest at most {MAX_DEPTH} deep.")
    return tuple([_condition(condition, values, depth) for condition in conditions])


def _condition(condition: Condition, values: list[Any], depth: int) -> Condition:
    if isinstance(condition, Comparison):
        name = f"v{len(values)}"
        values.append(condition.value)
        return Comparison(condition.field, condition.operator, name, condition.negated, condition.quantifier)
    if isinstance(condition, Is):
        return condition
    if isinstance(condition, Logic):
        inner = _conditions(condition.conditions, values, depth + 1)
        return Logic(condition.operator, inner, condition.negated)
    name = f"v{len(values)}"
    if isinstance(condition, Search):
        values.append(condition.value)
        return msgspec.structs.replace(condition, value=name)
    values.append(condition.values)
    return Membership(condition.field, (name,), condition.negated)
