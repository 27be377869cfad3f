"""DISTINCT ON and FETCH FIRST ... WITH TIES: the rows are numbered in a subquery, and those wanted taken from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.grouping import not_a_position, position
from plugins.database.sqlite.translate.scope import Expr, Scope


class Ranked(NamedTuple):
    """A query without its last ORDER BY, and that ORDER BY."""

    sql: str
    order: str


def is_ranked(fields: Node) -> bool:
    """Tell whether a SELECT needs its rows numbered."""
    return has_ties(fields) or any(fields.get("distinctClause", ()))


def has_ties(fields: Node) -> bool:
    """Tell whether a SELECT says WITH TIES."""
    return bool(fields.get("limitOption") == "LIMIT_OPTION_WITH_TIES")


def emit_distinct_on(fields: Node, outputs: list[Expr], tail: str, scope: Scope) -> Ranked:
    """Emit a SELECT DISTINCT ON; `tail` is what follows its select list."""
    if has_ties(fields):
        raise refused("DISTINCT ON with FETCH FIRST WITH TIES")
    keys = [types.collated(_key(node, scope, outputs)) for node in fields["distinctClause"]]
    sorts = sort_keys(fields, scope, outputs)
    if sorts and {expr.sql for expr, _ in sorts[: len(set(keys))]} - {
        key.split(" COLLATE ")[0] for key in keys
    }:
        raise DatabaseError(
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions", sqlstate="42P10"
        )
    window = f"PARTITION BY {', '.join(keys)}{_window_order(sorts)}"
    return _numbered(outputs, sorts, [f"row_number() OVER ({window}) AS n"], '"n" = 1', tail)


def emit_with_ties(
    fields: Node, outputs: list[Expr], tail: str, scope: Scope, count: str, offset: str
) -> Ranked:
    """Emit a SELECT whose last row brings all its equals with it."""
    sorts = sort_keys(fields, scope, outputs)
    if "distinctClause" in fields:
        raise refused("DISTINCT with FETCH FIRST WITH TIES")
    window = _window_order(sorts).strip()
    numbers = [f"row_number() OVER ({window}) AS n", f"rank() OVER ({window}) AS r"]
    wanted = f'"n" > {offset} AND ({count} < 0 OR "r" <= {offset} + {count})'
    return _numbered(outputs, sorts, numbers, wanted, tail)


def _numbered(
    outputs: list[Expr], sorts: list[tuple[Expr, str]], numbers: list[str], wanted: str, tail: str
) -> Ranked:
    inner = [f"{item.sql} AS o{place}" for place, item in enumerate(outputs)]
    inner += [f"{expr.sql} AS k{place}" for place, (expr, _) in enumerate(sorts)]
    listed = ", ".join(f"o{place} AS {quote(item.name)}" for place, item in enumerate(outputs))
    order = ", ".join(
        types.collated(expr._replace(sql=f"k{place}")) + direction
        for place, (expr, direction) in enumerate(sorts)
    )
    sql = f"SELECT {listed} FROM (SELECT {', '.join([*inner, *numbers])}{tail}) WHERE {wanted}"
    return Ranked(sql, order)


def sort_keys(fields: Node, scope: Scope, outputs: list[Expr]) -> list[tuple[Expr, str]]:
    """Return the keys of a SELECT's ORDER BY as expressions of their own, each with its direction."""
    sorts = []
    for item in fields.get("sortClause", ()):
        sort = item["SortBy"]
        only(sort, "ORDER BY", "node", "sortby_dir", "sortby_nulls", "useOp")
        key = _key(sort["node"], scope, outputs)
        types.ordered(key, "ORDER BY")
        sorts.append((key, direction(sort)))
    return sorts


def _window_order(sorts: Sequence[tuple[Expr, str]]) -> str:
    listed = ", ".join(types.collated(expr) + direction for expr, direction in sorts)
    return f" ORDER BY {listed}" if listed else ""


def direction(fields: Node) -> str:
    """Emit a sort's direction with NULLS made plain: last when ascending and first when descending, unless said."""
    if fields["sortby_dir"] == "SORTBY_USING":
        raise refused("ORDER BY USING")
    descending = fields["sortby_dir"] == "SORTBY_DESC"
    first = fields["sortby_nulls"] == "SORTBY_NULLS_FIRST" or (
        descending and fields["sortby_nulls"] == "SORTBY_NULLS_DEFAULT"
    )
    return f" {'DESC' if descending else 'ASC'} NULLS {'FIRST' if first else 'LAST'}"


def _key(node: Node, scope: Scope, outputs: list[Expr]) -> Expr:
    """Return a key as an expression of its own: a number or an output's name stands for that output."""
    kind, fields = kind_of(node)
    if kind == "A_Const" and "ival" in fields:
        place = int(position(fields, outputs, "ORDER BY").sql)
        return outputs[place - 1]
    if kind == "ColumnRef" and len(fields["fields"]) == 1:
        name = strings(fields["fields"])[0]
        named = [item for item in outputs if item.name == name]
        if named:
            return named[0]
    return not_a_position(types.settle(expressions.emit(node, scope)))
