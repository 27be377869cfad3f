"""What stands for several columns in a select list: ``*``, ``table.*`` and ``(row).*``."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import identifier, without_mark
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.expressions.composites import fields_of
from plugins.database.sqlite.translate.nodes import Node, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Scope


def emit_spread(kind: str, fields: Node, scope: Scope) -> list[Expr] | None:
    """Emit an entry that stands for several columns; None for any other."""
    if kind == "A_Indirection" and "A_Star" in fields["indirection"][-1]:
        return _fields(fields, scope)
    if kind != "ColumnRef" or "A_Star" not in fields["fields"][-1]:
        return None
    qualifier = strings(fields["fields"][:-1])
    outputs = _star(qualifier, scope)
    if scope.mentions is not None and (place := fields["location"]) >= 0:
        scope.mentions.stars[place] = _spread_names(qualifier, scope)
    return outputs


def _fields(fields: Node, scope: Scope) -> list[Expr]:
    if scope.mentions is not None:
        raise refused("(...).* in a view")
    before = fields["indirection"][:-1]
    node = {"A_Indirection": {**fields, "indirection": before}} if before else fields["arg"]
    value = expressions.emit(node, scope)
    row = fields_of(value)
    if row is None:
        raise DatabaseError(f"type {value.type or 'unknown'} is not composite", sqlstate="42809")
    return [field._replace(name=name) for name, field in row.fields.items()]


def _star(qualifier: list[str], scope: Scope) -> list[Expr]:
    if len(qualifier) > 1:
        qualifier = qualifier[-1:]
    items = [scope.item(qualifier[0])] if qualifier else scope.items
    if not items:
        raise DatabaseError("SELECT * with no tables specified is not valid", sqlstate="42601")
    merged = [] if qualifier else [expr._replace(name=name) for name, expr in scope.merged.items()]
    names = () if qualifier else scope.merged
    return merged + [scope.read(item, name) for item in items for name in item.columns if name not in names]


def _spread_names(qualifier: list[str], scope: Scope) -> list[str]:
    """Return how a text names the columns that a star stands for."""
    items = [scope.item(qualifier[-1])] if qualifier else scope.items
    if any(without_mark(name) != name for item in items for name in item.columns):
        raise refused("a * over columns of one name in a view")
    names = [] if qualifier else [identifier(name) for name in scope.merged]
    return names + [
        f"{identifier(item.alias)}.{identifier(name)}"
        for item in items
        for name in item.columns
        if qualifier or name not in scope.merged
    ]
