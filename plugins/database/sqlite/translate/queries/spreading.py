"""Functions in SQL that return rows, in a select list: joined to what FROM gives, as functions in FROM are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.translate.nodes import refused
from plugins.database.sqlite.translate.queries.writing.carried import item_of
from plugins.database.sqlite.translate.scope import Expr, Scope, WholeRow, row_value

if TYPE_CHECKING:
    from plugins.database.sqlite.translate.routines import Call


def emit_in_list(call: Call, scope: Scope) -> Expr:
    """Emit the call: its one value, or its row."""
    from plugins.database.sqlite.translate.routines import emit_packed_rows, row_type

    function = call.function
    if scope.spread is None:
        raise DatabaseError("set-returning functions are not allowed here", sqlstate="0A000")
    if scope.spread:
        raise refused("a second set-returning function in a select list")
    query = emit_packed_rows(call, scope)
    alias = f"kernel.{function.name}"
    item = item_of(alias, query.columns)
    scope.spread.append(f"json_each({query.sql}) AS {quote(alias)}")
    fields = {name: item.column(name) for name, _ in query.columns}
    table = row_type(function.returns, scope.catalogue)
    if table is None and len(fields) == 1:
        (value,) = fields.values()
        return value._replace(name=function.name, modified=None)
    return row_value(WholeRow(table, fields), item.columns)._replace(name=function.name)
