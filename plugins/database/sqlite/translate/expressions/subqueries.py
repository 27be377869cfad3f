"""Subqueries in expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate.expressions import arrays, comparisons
from plugins.database.sqlite.translate.expressions.operators import COMPARISONS
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Scope

if TYPE_CHECKING:
    from plugins.database.sqlite.translate.queries.select import Query


def emit(fields: Node, scope: Scope) -> Expr:
    """Emit a subquery in an expression."""
    only(fields, "a subquery", "subLinkType", "testexpr", "operName", "subselect")
    kind = fields["subLinkType"]
    query = _query(fields["subselect"], scope)
    if kind == "EXISTS_SUBLINK":
        return Expr(f"EXISTS ({query.sql})", "boolean", name="exists")
    if kind in ("ANY_SUBLINK", "ALL_SUBLINK") and "RowExpr" in fields["testexpr"]:
        if kind != "ANY_SUBLINK" or strings(fields.get("operName", [])) not in ([], ["="]):
            raise refused("a comparison of a row with all rows of a subquery")
        return comparisons.in_query(fields["testexpr"], query, scope)
    if len(query.columns) != 1:
        raise DatabaseError("subquery must return only one column", sqlstate="42601")
    if kind == "EXPR_SUBLINK":
        ((name, declared),) = query.columns
        return Expr(_single(query), base_type(declared), name=name)
    if kind == "ARRAY_SUBLINK":
        return arrays.emit_subquery(query.sql, query.columns[0][1])
    if kind in ("ANY_SUBLINK", "ALL_SUBLINK"):
        operator = (strings(fields.get("operName", [])) or ["="])[-1]
        every = kind == "ALL_SUBLINK"
        name = COMPARISONS.get(operator, operator)
        return comparisons.quantified(name, fields["testexpr"], query, scope, every=every)
    raise refused(f"a subquery as {kind}")


def _single(query: Query) -> str:
    """Have a scalar subquery refuse a second row, which SQLite would not look for."""
    if query.single:
        return f"({query.sql})"
    rows = f"SELECT c FROM (WITH q(c) AS ({query.sql}) SELECT c FROM q) LIMIT 2"
    return f"(SELECT CASE WHEN count(*) < 2 THEN min(c) ELSE pg_too_many() END FROM ({rows}))"


def _query(node: Node, scope: Scope) -> Query:
    from plugins.database.sqlite.translate.queries.select import emit_query

    return emit_query(kind_of(node)[1], scope.nested())
