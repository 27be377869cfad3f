"""Arrays in expressions: ``ARRAY[...]``, subscripts, ``ANY`` and ``ALL``."""

from __future__ import annotations

from collections.abc import Iterable

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.stored import array_of, base_type, element_of, form_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import composites, expressions, operators
from plugins.database.sqlite.translate.expressions.comparisons import decided
from plugins.database.sqlite.translate.expressions.signatures import as_json
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.rows import element_source, element_value
from plugins.database.sqlite.translate.scope import Expr, Scope

_FROM_JSON = frozenset({"numeric", "jsonb", "real", "double precision"})


def emit_array(fields: Node, scope: Scope, element: str | None = None) -> Expr:
    """Emit ``ARRAY[...]``; `element` is the type a cast around it gives its elements."""
    only(fields, "ARRAY", "elements")
    listed = fields.get("elements", ())
    if any("A_ArrayExpr" in item for item in listed):
        raise refused("an array of several dimensions")
    items = [expressions.emit(item, scope) for item in listed]
    if element is None and not items:
        raise DatabaseError(
            "cannot determine type of empty array",
            sqlstate="42P18",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
        )
    held = element or types.common(items, "ARRAY")
    form_of(array_of(held))
    convert = types.cast if element else types.coerce
    return of_items([convert(item, held) for item in items], held)


def of_items(items: Iterable[Expr], element: str) -> Expr:
    """Emit the array of values of one type."""
    values = ", ".join(as_json(item).sql for item in items)
    return Expr(f"json_array({values})", array_of(element), name="array")


def emit_cast(node: Node, target: str, scope: Scope) -> Expr | None:
    """Emit ``ARRAY[...]::type[]``, whose elements are what is cast; None for a cast of something else."""
    element = element_of(base_type(target))
    if element is None or "A_ArrayExpr" not in node:
        return None
    return emit_array(node["A_ArrayExpr"], scope, element)


def emit_subquery(query_sql: str, declared: str) -> Expr:
    """Emit ``ARRAY(SELECT ...)``, given the query of one column."""
    element = base_type(declared)
    form_of(array_of(element))
    value = form_of(element).json.replace("{}", "c")
    sql = f"(SELECT json_group_array({value}) FROM (WITH q(c) AS ({query_sql}) SELECT c FROM q))"
    return Expr(sql, array_of(element), name="array")


def emit_subscript(fields: Node, scope: Scope) -> Expr:
    """Emit ``value[1]`` and ``value[1:2]``, also on ``jsonb``, whose subscripts are members' names."""
    only(fields, "a subscript", "arg", "indirection")
    value = expressions.emit(fields["arg"], scope)
    for step in fields["indirection"]:
        kind, index = kind_of(step)
        if kind == "String":
            value = composites.emit_field(value, str(index["sval"]))
            continue
        if kind != "A_Indices":
            raise refused("a field of a row")
        only(index, "a subscript", "is_slice", "lidx", "uidx")
        value = _subscripted(value, index, scope)
    return value


def _subscripted(value: Expr, index: Node, scope: Scope) -> Expr:
    if value.type == "jsonb" and not index.get("is_slice"):
        return operators.binary("->", value, expressions.emit(index["uidx"], scope))._replace(name=value.name)
    element = element_of(value.type or "")
    if element is None:
        message = f"cannot subscript type {value.type or 'unknown'} because it does not support subscripting"
        raise DatabaseError(message, sqlstate="42804")
    if index.get("is_slice"):
        low, high = (
            types.coerce(expressions.emit(index[side], scope), "integer").sql if side in index else default
            for side, default in (("lidx", "1"), ("uidx", "2147483647"))
        )
        return Expr(f"pg_array_slice({value.sql}, {low}, {high})", value.type, name=value.name)
    place = types.coerce(expressions.emit(index["uidx"], scope), "integer", assign=True)
    return Expr(_element(value.sql, _offset(place), element), element, name=value.name)


def _offset(place: Expr) -> str:
    """Return a place as JSON counts; what is not positive is nowhere, where SQLite would count from the end."""
    if place.literal is not None and place.literal.isdigit() and int(place.literal) > 0:
        return str(int(place.literal) - 1)
    return f"iif({place.sql} > 0, {place.sql} - 1, NULL)"


def _element(array: str, offset: str, element: str) -> str:
    member = f"nullif({array} -> {offset}, 'null')" if element in _FROM_JSON else f"({array} ->> {offset})"
    return element_value(member, element)


def emit_quantified(fields: Node, scope: Scope) -> Expr:
    """Emit ``left = any (array)`` and its like."""
    name = strings(fields["name"])[-1]
    every = fields["kind"] == "AEXPR_OP_ALL"
    left = expressions.emit(fields["lexpr"], scope)
    if "A_ArrayExpr" in fields["rexpr"] and (name, every) in (("=", False), ("<>", True)):
        return _listed(left, fields["rexpr"]["A_ArrayExpr"], scope, every=every)
    array = expressions.emit(fields["rexpr"], scope)
    if array.type is None:
        array = types.coerce(array, array_of(left.type or "text"))
    element = element_of(array.type or "")
    if element is None:
        raise DatabaseError("op ANY/ALL (array) requires array on right side", sqlstate="42809")
    if scope.has_bare_names():
        return _by_function(name, left, array, element, every=every)
    # A NULL for an array is a NULL among its elements: the comparison is unknown either way.
    source = f"json_each(coalesce({element_source(array.sql, element)}, '[null]'))"
    if (name, every) in (("=", False), ("<>", True)):
        left, _ = operators.matched(name, left, Expr("", element))
        word = "NOT IN" if every else "IN"
        inner = f"SELECT {element_value('value', element)} FROM {source}"
        return Expr(f"({types.collated(left)} {word} ({inner}))", "boolean")
    alias = quote(f"kernel.{'all' if every else 'any'}")
    value = Expr(element_value(f"{alias}.value", element), element)
    test = operators.binary(name, left, value)
    if test.type != "boolean":
        raise DatabaseError("op ANY/ALL (array) requires operator to yield boolean", sqlstate="42809")
    tests = f"SELECT {test.sql} AS t FROM {source} AS {alias}"
    return Expr(decided(tests, every=every), "boolean")


def _listed(left: Expr, fields: Node, scope: Scope, *, every: bool) -> Expr:
    """Emit a comparison with ``ARRAY[...]`` as IN with a list."""
    items = [expressions.emit(item, scope) for item in fields.get("elements", ())]
    if items:
        left, _ = operators.matched("=", left, Expr("", types.common(items, "ARRAY")))
    left = types.coerce(left, types.common([left, *items], "ARRAY"))
    values = ", ".join(types.coerce(item, left.type or "text").sql for item in items)
    return Expr(f"({types.collated(left)} {'NOT IN' if every else 'IN'} ({values}))", "boolean")


def _by_function(name: str, left: Expr, array: Expr, element: str, *, every: bool) -> Expr:
    """Emit a comparison where a subquery may not stand, or would hide the names of columns."""
    if (name, every) not in (("=", False), ("<>", True)):
        raise refused(f"{name} {'ALL' if every else 'ANY'} (array) in a check or RETURNING")
    left, _ = operators.matched(name, left, Expr("", element))
    found = f"pg_array_holds({array.sql}, {left.sql}, json_array({as_json(left).sql}))"
    return Expr(f"(NOT {found})" if every else found, "boolean")
