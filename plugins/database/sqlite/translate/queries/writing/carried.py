"""Rows as JSON on their way from one query into another, where SQLite has no other road.

A row is an array of its columns' stored forms, so that what comes out is what went in, to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence

from plugins.database.sqlite.names import quote
from plugins.database.sqlite.stored import base_type, element_of
from plugins.database.sqlite.translate.scope import Item

_DOCUMENTS = frozenset({"json", "jsonb"})

Columns = tuple[tuple[str, str], ...]


def packed(values: Sequence[tuple[str, str]]) -> str:
    """Return the SQL of one row, given that of each value and its type."""
    return f"json_array({', '.join(_packed(sql, base_type(kind)) for sql, kind in values)})"


def _packed(sql: str, kind: str) -> str:
    if kind == "bytea":
        return f"pg_bytea_text({sql})"
    if kind in _DOCUMENTS or element_of(kind) is not None:
        return f"({sql} || '')"  # a text, which SQLite must not take for a part of the array
    return sql


def packed_query(sql: str, columns: Columns) -> str:
    """Return a query of one value: all rows of another query, in its order."""
    names = [f"c{place}" for place in range(len(columns))]
    row = packed([(name, kind) for name, (_, kind) in zip(names, columns, strict=True)])
    listed = ", ".join(names)
    return f"SELECT json_group_array({row}) FROM (WITH q({listed}) AS ({sql}) SELECT * FROM q)"


def unpacked(value: str, place: int, kind: str) -> str:
    """Return the SQL of one column, given that of its row."""
    member = f"({value} ->> {place})"
    return f"pg_bytea({member})" if base_type(kind) == "bytea" else member


def spread_query(rows: str, columns: Columns) -> str:
    """Return the query of what `rows`, the SQL of packed rows, holds."""
    listed = ", ".join(
        f"{unpacked('value', place, kind)} AS {quote(name)}" for place, (name, kind) in enumerate(columns)
    )
    return f"SELECT {listed or '1'} FROM json_each({rows})"


def item_of(alias: str, columns: Columns, *, scalar: bool = False) -> Item:
    """Return the FROM entry whose rows ``json_each``, called `alias`, spreads out."""
    value = f'{quote(alias)}."value"'
    computed = {name: unpacked(value, place, kind) for place, (name, kind) in enumerate(columns)}
    return Item(alias, dict(columns), computed=computed, scalar=scalar)
