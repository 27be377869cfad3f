"""Whole rows in expressions: ``row(...)``, a table's row, what a function returns, and their fields."""

from __future__ import annotations

from collections.abc import Sequence

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.stored import FORMS, base_type, field_of, output
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import comparisons, expressions
from plugins.database.sqlite.translate.expressions.signatures import of_any_type
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Scope, WholeRow, row_value, table_types


def fields_of(value: Expr) -> WholeRow | None:
    """Return what a whole row holds, None for what is none."""
    if value.row is not None or not isinstance(value.type, RowType):
        return value.row
    fields = {
        name: Expr(field_of(value.sql, place, kind), base_type(kind), name=name, modified=kind)
        for place, (name, kind) in enumerate(value.type.columns)
    }
    return WholeRow(None, fields, f"{value.sql} IS NULL")


def numbered(kind: RowType, query: str) -> str:
    """Return a query's rows as something to read from, whose columns are called c0, c1 and so on."""
    names = ", ".join(f"c{place}" for place in range(len(kind.columns)))
    return f"(WITH q({names}) AS ({query}) SELECT * FROM q)"


def packed(kind: RowType) -> str:
    """Return the SQL of a row whose values are called c0, c1 and so on."""
    return f"pg_row({', '.join(output(declared, f'c{place}') for place, (_, declared) in enumerate(kind.columns))})"


def emit_row(fields: Node, scope: Scope) -> Expr:
    """Emit ``row(...)``, whose fields are called f1, f2 and so on."""
    only(fields, "a row", "args", "row_format")
    items: list[Expr] = []
    for node in fields.get("args", ()):
        kind, column = kind_of(node)
        if kind == "ColumnRef" and "A_Star" in column["fields"][-1]:
            row = scope.column(strings(column["fields"][:-1])[-1]).row
            items += row.fields.values() if row is not None else ()
        else:
            items.append(of_any_type(expressions.emit(node, scope)))
    named = {f"f{place}": item for place, item in enumerate(items, 1)}
    columns = {name: item.modified or item.type or "text" for name, item in named.items()}
    return row_value(WholeRow(None, named), columns)._replace(name="row")


def row_type(node: Node, catalogue: Catalogue) -> RowType | None:
    """Return the type of a table's rows that a TypeName names, None for any other type."""
    names = strings(node["names"])
    if len(names) > 2 or base_type(names[-1]) in FORMS or node.get("arrayBounds"):
        return None
    table = catalogue.table(names[-1], names[0] if len(names) > 1 else "public")
    return None if table is None else RowType.of(table_types(table).items(), table)


def emit_cast(node: Node, target: RowType, scope: Scope) -> Expr:
    """Emit a cast to the type of a table's rows: of NULL, of ``row(...)`` or of a text."""
    value = None if "RowExpr" in node else expressions.emit(node, scope)
    if value is None:
        items = comparisons.row_items(node, scope)
        if len(items) != len(target.columns):
            raise DatabaseError(f"cannot cast type record to {target}", sqlstate="42846")
        fields = {
            name: types.cast(item, declared)
            for item, (name, declared) in zip(items, target.columns, strict=True)
        }
        return row_value(WholeRow(None, fields), dict(target.columns))._replace(type=target)
    if value.type == target:
        return value
    if value.type is not None and value.type not in types.TEXTS:
        raise DatabaseError(f"cannot cast type {value.type} to {target}", sqlstate="42846")
    if value.is_null:
        return value._replace(type=target)
    return Expr(f"pg_row_read({value.sql}, {len(target.columns)})", target)


def emit_field(value: Expr, name: str) -> Expr:
    """Emit ``(row).name``; raises 42703 where the row has no such field, 42809 for what is no row."""
    row = fields_of(value)
    if row is None:
        message = f"column notation .{name} applied to type {value.type or 'unknown'}, which is not a composite type"
        raise DatabaseError(message, sqlstate="42809")
    if name not in row.fields:
        message = f'column "{name}" not found in data type {value.type}'
        if value.type == "record":
            message = f'could not identify column "{name}" in record data type'
        raise DatabaseError(message, sqlstate="42703", column=name)
    return row.fields[name]._replace(name=name)


def emit_star(names: Sequence[str], scope: Scope) -> Expr:
    """Emit ``table.*`` outside of a select list, where it is the table's whole row."""
    if not names:
        raise refused("a * outside a select list")
    return scope.column(names[-1])
