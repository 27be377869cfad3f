"""Calls for compilers: functions that take a row of the statement around them."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue, Function, Table
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.rights.role import UNRESTRICTED, RoleRights
from plugins.database.sqlite.translate.queries.writing.carried import spread_query
from plugins.database.sqlite.translate.routines import emit_packed_rows, emit_value, find, row_type
from plugins.database.sqlite.translate.scope import Item, Scope, table_types

_ROW = "kernel.row"  # no column has a name with a dot


def call_of_row(catalogue: Catalogue, role: str | None, function: Function, table: Table, row: str) -> str:
    """Return a function's call with a row, see `Database.call_of_row`; the catalogue's types know what they mean."""
    rights = None if role is None or role == UNRESTRICTED else RoleRights(catalogue, role)
    access = None if rights is None else rights.access(table, "select")
    scope = Scope(catalogue, (), rights=rights)
    columns = table_types(catalogue.tables[table.schema, table.name])
    computed = {column: f"{quote(row)}.{quote(column)}" for column in columns}
    scope.add(Item(_ROW, columns, table=table, access=access, computed=computed))
    node = {
        "funcname": [{"String": {"sval": name}} for name in (function.schema, function.name)],
        "args": [{"ColumnRef": {"fields": [{"String": {"sval": _ROW}}]}}],
    }
    call = find(node, scope)
    if call is None:
        raise LookupError(f"the function {function.name} is not in the catalogue")
    if function.returns_set or row_type(function.returns, catalogue) is not None:
        query = emit_packed_rows(call, scope)
        sql = f"({spread_query(query.sql, query.columns)})"
    else:
        sql = emit_value(call, scope).sql
    if rights is not None:
        rights.check()
    return sql
