"""Aggregate and window functions: their DISTINCT, ORDER BY, FILTER and OVER."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.builtins.aggregates import AGGREGATES, WINDOW_ONLY
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.expressions.signatures import (
    Signature,
    call,
    missing,
    resolve,
    unknown_type,
)
from plugins.database.sqlite.translate.nodes import Node, placeless, refused
from plugins.database.sqlite.translate.queries.ranked import direction
from plugins.database.sqlite.translate.scope import Expr, Scope

_IN_ORDER = ("json_group", "pg_float", "pg_real")
"""What tells in which order it was given its values."""

_NO_ORDER = frozenset({"boolean", "uuid", "json", "jsonb", "bytea"})


ORDERED_SETS = ("percentile_cont", "percentile_disc", "mode")


def emit_ordered_set(name: str, fields: Node, scope: Scope) -> Expr:
    """Emit an aggregate WITHIN GROUP: SQLite gathers the values in their order, a function of ours looks at them."""
    if "over" in fields:
        raise DatabaseError(f"OVER is not supported for ordered-set aggregate {name}", sqlstate="0A000")
    scope.aggregated = True
    scope.inside += 1
    try:
        return _ordered_set(name, fields, scope)
    finally:
        scope.inside -= 1


def _ordered_set(name: str, fields: Node, scope: Scope) -> Expr:
    direct = [expressions.emit(item, scope) for item in fields.get("args", ())]
    keys = fields["agg_order"]
    value = expressions.emit(keys[0]["SortBy"]["node"], scope)
    if value.type is None and name != "percentile_cont":
        raise unknown_type()
    value = types.settle(value)
    if len(keys) != 1 or len(direct) != (name != "mode"):
        raise missing(name, [*direct, value])
    result = value.type or "text"
    if name == "percentile_cont" and result != "interval":
        value = types.coerce(value, "double precision")
        result = "double precision"
    many = (
        name == "percentile_cont"
        and bool(direct)
        and direct[0].type is not None
        and direct[0].type.endswith("[]")
    )
    fraction = (
        types.coerce(direct[0], "double precision[]" if many else "double precision") if direct else None
    )
    if result in ("interval", "bytea") and name != "mode":
        raise refused(f"{name} of {result}")
    order = types.ordered(value, name) + direction(keys[0]["SortBy"])
    condition = f"{value.sql} IS NOT NULL"
    if "agg_filter" in fields:
        condition = f"({condition}) AND {expressions.condition(fields['agg_filter'], scope, 'FILTER')}"
    gathered = f"json_group_array({value.sql} ORDER BY {order}) FILTER (WHERE {condition})"
    given = f", {fraction.sql}" if fraction is not None else ""
    return Expr(f"pg_{name}({gathered}{given})", f"{result}[]" if many else result, name=name)


def emit_aggregate(name: str, label: str, fields: Node, scope: Scope) -> Expr:
    """Emit a call of an aggregate or a window function; `label` is its name as it was written."""
    if "over" in fields and "agg_distinct" in fields:
        raise refused(f"{name}(DISTINCT ...) OVER")
    if name in WINDOW_ONLY and "over" not in fields:
        raise DatabaseError(f"window function {name} requires an OVER clause", sqlstate="42809")
    if "over" in fields:
        return _emit(name, label, fields, scope)
    scope.aggregated = True
    scope.inside += 1
    try:
        return _emit(name, label, fields, scope)
    finally:
        scope.inside -= 1


def _emit(name: str, label: str, fields: Node, scope: Scope) -> Expr:
    sql, around, result = _called(name, label, fields, scope)
    if "agg_filter" in fields:
        sql += f" FILTER (WHERE {expressions.condition(fields['agg_filter'], scope, 'FILTER')})"
    if "over" in fields:
        from plugins.database.sqlite.translate.queries.windows import emit_window

        over = fields["over"]
        sql += f" OVER {emit_window(over.get('WindowDef', over), scope)}"
    return Expr(around.replace("{}", sql), result, name=label)


def _called(name: str, label: str, fields: Node, scope: Scope) -> tuple[str, str, str]:
    """Return the call, what stands around it, and its type."""
    if fields.get("agg_star"):
        return "count(*)", "{}", "bigint"
    arguments = [expressions.emit(item, scope) for item in fields.get("args", ())]
    if name in ("min", "max") and arguments and arguments[0].type in _NO_ORDER:
        raise missing(label, arguments)
    if arguments and arguments[0].type is None:
        _check_known(name, label)
    found = resolve(AGGREGATES.get(name) or WINDOW_ONLY[name], arguments)
    if found is None:
        raise missing(label, arguments)
    signature, converted, result = found
    if name == "string_agg" and fields.get("agg_distinct"):
        # SQLite's aggregates take one argument where it is DISTINCT.
        separator, converted = converted[1], converted[:1]
        signature = Signature(
            ("text",), "json_group_array({0})", "text", around=f"pg_joined({{}}, {separator.sql})"
        )
    ordered = ""
    if name in ("min", "max") or fields.get("agg_distinct"):
        # An aggregate compares its values as their type does.
        converted = [item._replace(sql=types.collated(item)) for item in converted[:1]] + converted[1:]
    if "agg_order" in fields:
        _check_distinct_order(fields)
        from plugins.database.sqlite.translate.queries.select import emit_order

        ordered = f" ORDER BY {emit_order(fields['agg_order'], scope, [])}"
    elif fields.get("agg_distinct") and signature.sql.startswith(_IN_ORDER):
        # PostgreSQL sorts to find what is distinct, and so gives it in order.
        key = types.settle(arguments[0])
        ordered = f" ORDER BY {types.collated(key)} NULLS LAST"
    sql = call(signature.sql, converted)
    if fields.get("agg_distinct"):
        sql = sql.replace("(", "(DISTINCT ", 1)
    sql = f"{sql[:-1]}{ordered})"
    return sql, signature.around, result


def _check_distinct_order(fields: Node) -> None:
    """Raise 42P10 where DISTINCT values are to be ordered by something else."""
    if not fields.get("agg_distinct"):
        return
    given = [placeless(item) for item in fields["args"]]
    if any(placeless(item["SortBy"]["node"]) not in given for item in fields["agg_order"]):
        raise DatabaseError(
            "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            sqlstate="42P10",
        )


def _check_known(name: str, label: str) -> None:
    """Raise as PostgreSQL does where a call's result has the type of an argument of which nobody knows it."""
    if name in ("array_agg", "avg", "sum"):
        raise DatabaseError(f"function {label}(unknown) is not unique", sqlstate="42725")
    if name in ("json_agg", "jsonb_agg") or any(one.result == "same" for one in WINDOW_ONLY.get(name, ())):
        raise unknown_type()
