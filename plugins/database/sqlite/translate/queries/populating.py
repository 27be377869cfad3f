"""``jsonb_populate_record`` and its kin: documents as a table's rows."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.names import quote, text_literal
from plugins.database.sqlite.stored import base_type, describe
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.expressions.composites import fields_of
from plugins.database.sqlite.translate.expressions.signatures import Signature, missing, resolve, unknown_type
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.scope import Expr, Item, Scope, WholeRow, row_value
from plugins.database.sqlite.values.textual.strings import json_path

ONE = ("json_populate_record", "jsonb_populate_record")
MANY = ("json_populate_recordset", "jsonb_populate_recordset")


def emit_record(name: str, fields: Node, scope: Scope) -> Expr:
    """Emit a call in an expression."""
    if name in MANY:
        raise refused(f"{name}() in an expression", hint="Put it into FROM.")
    base, kind, document = _arguments(name, fields, scope)
    only_object = f"(pg_json_object({document}) -> 0)"
    columns = _columns(base, kind, f"({only_object} ->> '$')")
    absent = f"({document}) IS NULL" + ("" if base.is_null else f" AND ({base.sql}) IS NULL")
    row = WholeRow(None, columns, absent)
    return row_value(row, dict(kind.columns))._replace(type=kind, name=name)


def emit_source(name: str, fields: Node, scope: Scope, alias: str) -> str:
    """Emit a call in FROM and make its columns visible."""
    base, kind, document = _arguments(name, fields, scope)
    columns = _columns(base, kind, f'{quote(alias)}."value"')
    computed = {column: value.sql for column, value in columns.items()}
    scope.add(Item(alias, dict(kind.columns), computed=computed))
    source = (
        f"coalesce(pg_json_object({document}), '[null]')"
        if name in ONE
        else f"pg_json_objects({document}, '{name}')"
    )
    return f"json_each({source}) AS {quote(alias)}"


def _arguments(name: str, fields: Node, scope: Scope) -> tuple[Expr, RowType, str]:
    """Return the row that fills what a document leaves out, its type, and the document's SQL."""
    only(fields, f"{name}()", "funcname", "args", "funcformat")
    given = [expressions.emit(item, scope) for item in fields.get("args", ())]
    found = resolve((Signature((name.partition("_")[0],), "{0}", "json"),), given[1:])
    if len(given) != 2 or found is None:
        raise missing(name, given)
    base = given[0]
    if not isinstance(base.type, RowType):
        if base.type is None:
            raise unknown_type()
        raise DatabaseError(f"first argument of {name} must be a row type", sqlstate="42804")
    return base, base.type, found[1][0].sql


def _columns(base: Expr, kind: RowType, document: str) -> dict[str, Expr]:
    before = fields_of(base)
    found = {}
    for name, declared in kind.columns:
        path = text_literal(json_path(name) or "")
        sql = describe(declared).assign_json.replace("{}", f"({document} -> {path})")
        if before is not None and not base.is_null:
            sql = f"iif(json_type({document}, {path}) IS NULL, {before.fields[name].sql}, {sql})"
        value = types.admitted(Expr(sql, base_type(declared), modified=declared), declared)
        found[name] = value._replace(name=name)
    return found
