"""Expressions: a table from the node's kind to the function that emits it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.stored import base_type, form_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import operators
from plugins.database.sqlite.translate.expressions.operators import COMPARISONS
from plugins.database.sqlite.translate.expressions.valuefunctions import emit_value_function
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, placeless, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Scope


def _emit(node: Node, scope: Scope) -> Expr:
    kind, fields = kind_of(node)
    function = _EMIT.get(kind)
    if function is None:
        raise refused(f"the expression {kind}")
    if scope.grouped and fingerprint(node) in scope.grouped:
        scope.inside += 1
        try:
            return function(fields, scope)
        finally:
            scope.inside -= 1
    if kind in ("CaseExpr", "CoalesceExpr"):  # no function in them returns rows
        spread, scope.spread = scope.spread, None
        expr = function(fields, scope)
        scope.spread = spread
        return expr
    return function(fields, scope)


def emit(node: Node, scope: Scope) -> Expr:
    """Emit one expression; raises `DatabaseError` for one that is wrong or not supported."""
    expr = _emit(node, scope)
    if scope.absent and not scope.inside and expr.sql in scope.absent:
        return expr._replace(sql="NULL")
    return expr


def fingerprint(node: Node) -> bytes:
    """Return bytes that are equal for expressions that read the same, wherever they stand."""
    return msgspec.json.encode(placeless(node))


def condition(node: Node, scope: Scope, clause: str) -> str:
    """Emit an expression that must be boolean, for WHERE, HAVING, ON and CHECK."""
    expr = emit(node, scope)
    if expr.type not in (None, "boolean"):
        raise DatabaseError(
            f"argument of {clause} must be type boolean, not type {expr.type}", sqlstate="42804"
        )
    return types.coerce(expr, "boolean").sql


def _constant(fields: Node, scope: Scope) -> Expr:
    if fields.get("isnull"):
        return Expr("NULL", is_null=True)
    if "ival" in fields:
        return operators.number(str(fields["ival"].get("ival", 0)))
    if "fval" in fields:
        return operators.number(str(fields["fval"]["fval"]))
    if "boolval" in fields:
        return Expr("1" if fields["boolval"].get("boolval") else "0", "boolean", name="bool")
    if "sval" in fields:
        text = fields["sval"].get("sval", "")
        return Expr(text_literal(text), literal=text)
    raise refused("a bit string")


def _column(fields: Node, scope: Scope) -> Expr:
    only(fields, "a column", "fields")
    if scope.mentions is None:
        return _resolved(fields, scope)
    scope.mentions.node = fields
    try:
        return _resolved(fields, scope)
    finally:
        scope.mentions.node = None


def _resolved(fields: Node, scope: Scope) -> Expr:
    parts = fields["fields"]
    if "A_Star" in parts[-1]:
        return composites.emit_star(strings(parts[:-1]), scope)
    names = strings(parts)
    if len(names) == 1:
        return scope.column(names[0])
    if len(names) == 2:
        return _qualified(names, scope)
    if len(names) == 3 and _is_in(scope.item(names[1]).table, names[0]):
        return scope.qualified(names[1], names[2])
    raise DatabaseError(f"missing FROM-clause entry for {'.'.join(names[:-1])}", sqlstate="42P01")


def _qualified(names: list[str], scope: Scope) -> Expr:
    from plugins.database.sqlite.translate.routines import emit_field

    try:
        return scope.qualified(names[0], names[1])
    except DatabaseError as error:
        found = emit_field(names, scope) if error.sqlstate == "42703" else None
        if found is None:
            raise
        return found


def _is_in(table: Table | None, schema: str) -> bool:
    return table is not None and table.schema == schema


def _parameter(fields: Node, scope: Scope) -> Expr:
    number = fields.get("number", 0)
    if scope.arguments is not None and f"${number}" in scope.arguments:
        return scope.arguments[f"${number}"]
    if scope.arguments is not None or not 0 < number <= len(scope.parameters):
        raise DatabaseError(
            f"there is no parameter ${number}: parameters are written :name", sqlstate="42P02"
        )
    return Expr(":" + scope.parameters[number - 1])


def _operator(fields: Node, scope: Scope) -> Expr:
    only(fields, "an operator", "kind", "name", "lexpr", "rexpr")
    return _OPERATORS.get(fields["kind"], _refuse_operator)(fields, scope)


def _refuse_operator(fields: Node, scope: Scope) -> Expr:
    raise refused(f"the operator {' '.join(strings(fields['name']))} as {fields['kind']}")


def _name_of(fields: Node) -> str:
    names = strings(fields["name"])
    if len(names) > 1 and names[0] != "pg_catalog":
        raise refused(f"the operator {'.'.join(names)}")
    return names[-1]


def _plain(fields: Node, scope: Scope) -> Expr:
    name = _name_of(fields)
    if "lexpr" not in fields:
        return operators.prefix(name, emit(fields["rexpr"], scope))
    if "RowExpr" in fields["lexpr"]:
        left, right = (comparisons.row_items(fields[side], scope) for side in ("lexpr", "rexpr"))
        return comparisons.compare_rows(COMPARISONS.get(name, name), left, right)
    return operators.binary(name, emit(fields["lexpr"], scope), emit(fields["rexpr"], scope))


def _in(fields: Node, scope: Scope) -> Expr:
    kind, listed = kind_of(fields["rexpr"])
    if kind != "List":
        raise refused(f"IN with {kind}")
    if "RowExpr" in fields["lexpr"]:
        rows = [comparisons.row_items(item, scope) for item in listed["items"]]
        negated = _name_of(fields) != "="
        return comparisons.rows_in(comparisons.row_items(fields["lexpr"], scope), rows, negated=negated)
    left = emit(fields["lexpr"], scope)
    items = [emit(item, scope) for item in listed["items"]]
    try:
        target = types.common([left, *items], "IN")
    except DatabaseError:
        return _in_one_by_one(left, items, _name_of(fields))
    left = types.coerce(left, target)
    values = ", ".join(types.coerce(item, target).sql for item in items)
    word = "IN" if _name_of(fields) == "=" else "NOT IN"
    return Expr(f"({types.collated(left)} {word} ({values}))", "boolean")


def _in_one_by_one(left: Expr, items: list[Expr], name: str) -> Expr:
    """Compare with each item in a type of its own, where there is none for all of them."""
    tests = [operators.compare(name, left, item).sql for item in items]
    return Expr(f"({(' OR ' if name == '=' else ' AND ').join(tests)})", "boolean")


def _between(fields: Node, scope: Scope) -> Expr:
    value = emit(fields["lexpr"], scope)
    low, high = (emit(item, scope) for item in fields["rexpr"]["List"]["items"])

    def within(low: Expr, high: Expr) -> str:
        return f"({operators.compare('>=', value, low).sql} AND {operators.compare('<=', value, high).sql})"

    kind = fields["kind"]
    both = f"({within(low, high)} OR {within(high, low)})" if kind.endswith("_SYM") else within(low, high)
    negated = kind.startswith("AEXPR_NOT_BETWEEN")
    return Expr(f"(NOT {both})" if negated else both, "boolean")


def _distinct(fields: Node, scope: Scope) -> Expr:
    negated = fields["kind"] == "AEXPR_NOT_DISTINCT"
    if "RowExpr" in fields["lexpr"]:
        left, right = (comparisons.row_items(fields[side], scope) for side in ("lexpr", "rexpr"))
        return comparisons.distinct_rows(left, right, negated=negated)
    return operators.distinct(emit(fields["lexpr"], scope), emit(fields["rexpr"], scope), negated=negated)


def _nullif(fields: Node, scope: Scope) -> Expr:
    return operators.nullif(emit(fields["lexpr"], scope), emit(fields["rexpr"], scope))


def _like(fields: Node, scope: Scope) -> Expr:
    left, right = emit(fields["lexpr"], scope), emit(fields["rexpr"], scope)
    ignoring_case = fields["kind"] == "AEXPR_ILIKE"
    return operators.like(left, right, negated=_name_of(fields).startswith("!"), ignoring_case=ignoring_case)


def _similar(fields: Node, scope: Scope) -> Expr:
    test = operators.binary("~", emit(fields["lexpr"], scope), emit(fields["rexpr"], scope))
    return Expr(f"(NOT {test.sql})", "boolean") if _name_of(fields) == "!~" else test


def _boolean(fields: Node, scope: Scope) -> Expr:
    only(fields, "a boolean expression", "boolop", "args")
    word = {"AND_EXPR": "AND", "OR_EXPR": "OR", "NOT_EXPR": "NOT"}[fields["boolop"]]
    parts = [condition(item, scope, word) for item in fields["args"]]
    sql = f"(NOT {parts[0]})" if word == "NOT" else f"({f' {word} '.join(parts)})"
    return Expr(sql, "boolean")


def _null_test(fields: Node, scope: Scope) -> Expr:
    only(fields, "a test for null", "arg", "nulltesttype")
    word = "IS NULL" if fields["nulltesttype"] == "IS_NULL" else "IS NOT NULL"
    value = emit(fields["arg"], scope)
    row = composites.fields_of(value)
    members = [value] if row is None else row.fields.values()
    return Expr(f"({' AND '.join(f'{member.sql} {word}' for member in members)})", "boolean")


def _boolean_test(fields: Node, scope: Scope) -> Expr:
    only(fields, "a test for a truth value", "arg", "booltesttype")
    words = fields["booltesttype"].replace("_", " ").replace("UNKNOWN", "NULL")
    return Expr(f"({condition(fields['arg'], scope, words)} {words})", "boolean")


def _cast(fields: Node, scope: Scope) -> Expr:
    only(fields, "a cast", "arg", "typeName")
    row = composites.row_type(fields["typeName"], scope.catalogue)
    if row is not None:
        return composites.emit_cast(fields["arg"], row, scope)
    target = types.type_name(fields["typeName"], scope.catalogue)
    expr = arrays.emit_cast(fields["arg"], target, scope) or emit(fields["arg"], scope)
    name = expr.name if expr.name != "?column?" else type_label(target)
    return types.cast(expr, target)._replace(name=name, literal=None, is_null=expr.is_null)


def type_label(target: str) -> str:
    """Return the name that PostgreSQL gives to a column that is a cast of something nameless."""
    labels = {"integer": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "double precision": "float8",
              "real": "float4", "character varying": "varchar", "timestamp with time zone": "timestamptz",
              "timestamp without time zone": "timestamp", "time without time zone": "time",
              "time with time zone": "timetz"}  # fmt: skip
    base = base_type(target)
    return labels.get(base, base)


def _case(fields: Node, scope: Scope) -> Expr:
    only(fields, "CASE", "arg", "args", "defresult")
    whens = [item["CaseWhen"] for item in fields["args"]]
    results = [emit(when["result"], scope) for when in whens]
    other = emit(fields["defresult"], scope) if "defresult" in fields else None
    target = types.common([*results, other] if other else results, "CASE")
    subject = emit(fields["arg"], scope) if "arg" in fields else None
    parts = ["CASE"]
    for when, result in zip(whens, results, strict=True):
        if subject is None:
            test = condition(when["expr"], scope, "CASE/WHEN")
        else:
            test = operators.compare("=", subject, emit(when["expr"], scope)).sql
        parts.append(f"WHEN {test} THEN {types.coerce(result, target).sql}")
    if other is not None:
        parts.append(f"ELSE {types.coerce(other, target).sql}")
    return Expr(" ".join([*parts, "END"]), target, name="case")


def _coalesce(fields: Node, scope: Scope) -> Expr:
    only(fields, "COALESCE", "args")
    items = [emit(item, scope) for item in fields["args"]]
    target = types.common(items, "COALESCE")
    values = [types.coerce(item, target).sql for item in items]
    sql = f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]
    return Expr(sql, target, name="coalesce")


def _extreme(fields: Node, scope: Scope) -> Expr:
    only(fields, "GREATEST", "op", "args")
    items = [emit(item, scope) for item in fields["args"]]
    target = types.common(items, "GREATEST")
    word = "greatest" if fields["op"] == "IS_GREATEST" else "least"
    values = ", ".join(types.coerce(item, target).sql for item in items)
    types.ordered(Expr("", target), word)
    collation = form_of(target).collation
    if collation is None:
        return Expr(f"pg_{word}({values})", target, name=word)
    return Expr(f"pg_{word}_by('{collation}', {values})", target, name=word)


def _grouping(fields: Node, scope: Scope) -> Expr:
    from plugins.database.sqlite.translate.queries.groupingsets import emit_grouping_call

    return emit_grouping_call(fields, scope)


def _call(fields: Node, scope: Scope) -> Expr:
    from plugins.database.sqlite.translate.expressions.calls import emit_call

    return emit_call(fields, scope)


def _named_argument(fields: Node, scope: Scope) -> Expr:
    only(fields, "a named argument", "name", "arg", "argnumber")
    return emit(fields["arg"], scope)._replace(argument=fields["name"])


def _collate(fields: Node, scope: Scope) -> Expr:
    only(fields, "COLLATE", "arg", "collname")
    if strings(fields["collname"])[-1] not in ("C", "POSIX", "default"):
        raise refused(f"the collation {'.'.join(strings(fields['collname']))}")
    return types.settle(emit(fields["arg"], scope))


_OPERATORS: dict[str, Callable[[Node, Scope], Expr]] = {
    "AEXPR_OP": _plain,
    "AEXPR_IN": _in,
    "AEXPR_BETWEEN": _between,
    "AEXPR_NOT_BETWEEN": _between,
    "AEXPR_BETWEEN_SYM": _between,
    "AEXPR_NOT_BETWEEN_SYM": _between,
    "AEXPR_DISTINCT": _distinct,
    "AEXPR_NOT_DISTINCT": _distinct,
    "AEXPR_NULLIF": _nullif,
    "AEXPR_LIKE": _like,
    "AEXPR_ILIKE": _like,
    "AEXPR_SIMILAR": _similar,
}

# These modules emit expressions too, by the functions above.
from plugins.database.sqlite.translate.expressions import (  # noqa: E402
    arrays,
    comparisons,
    composites,
    subqueries,
)

_OPERATORS |= {"AEXPR_OP_ANY": arrays.emit_quantified, "AEXPR_OP_ALL": arrays.emit_quantified}

_EMIT: dict[str, Callable[[Node, Scope], Expr]] = {
    "A_ArrayExpr": arrays.emit_array,
    "A_Indirection": arrays.emit_subscript,
    "A_Const": _constant,
    "A_Expr": _operator,
    "BoolExpr": _boolean,
    "BooleanTest": _boolean_test,
    "CaseExpr": _case,
    "CoalesceExpr": _coalesce,
    "CollateClause": _collate,
    "ColumnRef": _column,
    "FuncCall": _call,
    "GroupingFunc": _grouping,
    "MinMaxExpr": _extreme,
    "NamedArgExpr": _named_argument,
    "NullTest": _null_test,
    "ParamRef": _parameter,
    "RowExpr": composites.emit_row,
    "SQLValueFunction": emit_value_function,
    "SubLink": subqueries.emit,
    "TypeCast": _cast,
}
