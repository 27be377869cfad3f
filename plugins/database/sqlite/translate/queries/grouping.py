"""GROUP BY and HAVING, and PostgreSQL's rule that what is selected must be grouped or aggregated."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Item, Scope


def watch_grouping(fields: Node, scope: Scope) -> None:
    """Begin to note the columns that stand outside of aggregates and of GROUP BY's expressions."""
    targets = [target["ResTarget"] for target in fields.get("targetList", ())]
    keys = [_key_node(node, targets, scope) for node in fields.get("groupClause", ())]
    scope.grouped = frozenset(expressions.fingerprint(node) for node in keys)
    scope.bare = []


def _key_node(node: Node, targets: list[Node], scope: Scope) -> Node:
    kind, fields = kind_of(node)
    if kind == "A_Const":
        place = fields.get("ival", {}).get("ival", 0)
        return dict(targets[place - 1]["val"]) if 0 < place <= len(targets) else node
    if kind == "ColumnRef" and len(fields["fields"]) == 1:
        name = strings(fields["fields"])[0]
        if not any(name in item.columns for item in scope.items):
            return next((target["val"] for target in targets if target.get("name") == name), node)
    return node


def check_grouping(fields: Node, scope: Scope) -> None:
    """Raise 42803 for a column that is neither grouped nor in an aggregate: SQLite would take any row's value."""
    noted, scope.bare = scope.bare or [], None
    if not (scope.aggregated or "groupClause" in fields or "havingClause" in fields):
        return
    grouped = {(item.alias, name) for item, name in _grouped_columns(fields, scope)}
    for item, name in noted:
        if (item.alias, name) in grouped or _depends_on(item, grouped):
            continue
        raise DatabaseError(
            f'column "{item.alias}.{name}" must appear in the GROUP BY clause or be used in an aggregate function',
            sqlstate="42803",
            column=name,
        )


def _grouped_columns(fields: Node, scope: Scope) -> list[tuple[Item, str]]:
    scope.bare, scope.inside = [], 0
    scope.grouped = frozenset()
    targets = [target["ResTarget"] for target in fields.get("targetList", ())]
    for node in fields.get("groupClause", ()):
        key = _key_node(node, targets, scope)
        if "ColumnRef" in key:
            expressions.emit(key, scope)
    found, scope.bare = scope.bare, None
    return found


def _depends_on(item: Item, grouped: set[tuple[str, str]]) -> bool:
    """Tell whether the table's primary key is grouped: then all its columns are settled."""
    table = item.table
    return (
        table is not None
        and bool(table.primary_key)
        and all((item.alias, name) in grouped for name in table.primary_key)
    )


def emit_grouping(fields: Node, scope: Scope, outputs: list[Expr]) -> str:
    """Emit GROUP BY and HAVING."""
    if "groupDistinct" in fields:
        raise refused("GROUP BY DISTINCT")
    sql = ""
    if "groupClause" in fields:
        keys = grouping_keys(fields, scope, outputs)
        sql = f" GROUP BY {', '.join(types.collated(not_a_position(key)) for key in keys)}"
    if "havingClause" in fields:
        sql += f" HAVING {expressions.condition(fields['havingClause'], scope, 'HAVING')}"
    return sql


def grouping_keys(fields: Node, scope: Scope, outputs: list[Expr]) -> list[Expr]:
    """Return the expressions that GROUP BY names; a number or an output's name stands for that output."""
    scope.inside += 1
    keys = [_group_key(item, scope, outputs) for item in fields["groupClause"]]
    scope.inside -= 1
    return keys


def _group_key(node: Node, scope: Scope, outputs: list[Expr]) -> Expr:
    kind, fields = kind_of(node)
    if kind == "A_Const":
        return outputs[int(position(fields, outputs, "GROUP BY").sql) - 1]
    if kind == "ColumnRef" and len(fields["fields"]) == 1:
        name = strings(fields["fields"])[0]
        if not any(name in item.columns for item in scope.items):
            named = [item for item in outputs if item.name == name]
            if named:
                return named[0]
    return expressions.emit(node, scope)


def position(fields: Node, outputs: list[Expr], clause: str) -> Expr:
    """Return the key that a number in GROUP BY or ORDER BY stands for; raises 42P10."""
    place: int = fields.get("ival", {}).get("ival", 0)
    if not 1 <= place <= len(outputs):
        raise DatabaseError(f"{clause} position {place} is not in select list", sqlstate="42P10")
    return outputs[place - 1]._replace(sql=str(place))


def not_a_position(expr: Expr) -> Expr:
    """Keep SQLite from folding a constant key into a number, which it would take for a column's position."""
    return expr if '"' in expr.sql else expr._replace(sql=f"iif(1, {expr.sql}, NULL)")
