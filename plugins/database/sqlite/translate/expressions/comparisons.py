"""Comparisons of rows, and of a value with what a subquery returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions, operators
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.scope import Expr, Scope

if TYPE_CHECKING:
    from plugins.database.sqlite.translate.queries.select import Query

_ORDERS = ("<", "<=", ">", ">=")


def row_items(node: Node, scope: Scope) -> list[Expr]:
    """Emit the values of a row; raises 0A000 for what is none."""
    kind, fields = kind_of(node)
    if kind != "RowExpr":
        raise refused(f"a comparison of a row with {kind}")
    only(fields, "a row", "args", "row_format")
    return [expressions.emit(item, scope) for item in fields.get("args", ())]


def _same_length(left: list[Expr], right: list[Expr]) -> None:
    if len(left) != len(right):
        raise DatabaseError("unequal number of entries in row expressions", sqlstate="42601")


def compare_rows(name: str, left: list[Expr], right: list[Expr]) -> Expr:
    """Emit a comparison of two rows: equal in all, or in order by the first that differ."""
    _same_length(left, right)
    if name in _ORDERS and len(left) > 1:
        pairs = [operators.matched(name, one, other) for one, other in zip(left, right, strict=True)]
        ones = ", ".join(types.ordered(one, name) for one, _ in pairs)
        others = ", ".join(other.sql for _, other in pairs)
        return Expr(f"(({ones}) {name} ({others}))", "boolean")
    if name not in ("=", "<>") and len(left) > 1:
        raise refused(f"a comparison of rows by {name}")
    if len(left) == 1:
        return operators.binary(name, left[0], right[0])
    tests = [operators.compare("=", one, other).sql for one, other in zip(left, right, strict=True)]
    sql = f"({' AND '.join(tests)})"
    return Expr(sql if name == "=" else f"(NOT {sql})", "boolean")


def distinct_rows(left: list[Expr], right: list[Expr], *, negated: bool) -> Expr:
    """Emit ``is [not] distinct from`` between rows."""
    _same_length(left, right)
    pairs = zip(left, right, strict=True)
    sql = f"({' AND '.join(operators.distinct(one, other, negated=True).sql for one, other in pairs)})"
    return Expr(sql if negated else f"(NOT {sql})", "boolean")


def rows_in(left: list[Expr], rows: list[list[Expr]], *, negated: bool) -> Expr:
    """Emit ``row in (row, ...)``."""
    tests = [compare_rows("=", left, row).sql for row in rows]
    sql = f"({' OR '.join(tests)})"
    return Expr(f"(NOT {sql})" if negated else sql, "boolean")


def in_query(node: Node, query: Query, scope: Scope, *, negated: bool = False) -> Expr:
    """Emit ``value in (subquery)``, also of a row."""
    left = row_items(node, scope) if "RowExpr" in node else [expressions.emit(node, scope)]
    if len(left) != len(query.columns):
        few = "few" if len(query.columns) < len(left) else "many"
        raise DatabaseError(f"subquery has too {few} columns", sqlstate="42601")
    pairs = zip(left, query.columns, strict=True)
    converted = [operators.matched("=", one, Expr("", base_type(kind)))[0] for one, (_, kind) in pairs]
    listed = ", ".join(map(types.collated, converted))
    subject = listed if len(converted) == 1 else f"({listed})"
    return Expr(f"({subject} {'NOT IN' if negated else 'IN'} ({query.sql}))", "boolean")


def quantified(name: str, node: Node, query: Query, scope: Scope, *, every: bool) -> Expr:
    """Emit ``value < any (subquery)`` and its like."""
    if (name, every) in (("=", False), ("<>", True)):
        return in_query(node, query, scope, negated=every)
    if scope.has_bare_names():
        raise refused(f"{name} {'ALL' if every else 'ANY'} (subquery) in a check or RETURNING")
    ((_, kind),) = query.columns
    test = operators.binary(name, expressions.emit(node, scope), Expr('"kernel.q".c', base_type(kind)))
    known = f'WITH q(c) AS ({query.sql}) SELECT {test.sql} AS t FROM q AS "kernel.q"'
    return Expr(decided(known, every=every), "boolean")


def decided(tests: str, *, every: bool) -> str:
    """Return whether any, or every, test of a query (its column ``t``) holds; NULL where NULLs leave it open."""
    found, result, otherwise = ("min(t) = 0", 0, 1) if every else ("max(t) = 1", 1, 0)
    case = f"CASE WHEN {found} THEN {result} WHEN count(*) > count(t) THEN NULL ELSE {otherwise} END"
    return f"(SELECT {case} FROM ({tests}))"
