"""Calls of SQL functions that write: each becomes the statements of its body."""

from __future__ import annotations

from plugins.database.sqlite.statements import Plan, Step
from plugins.database.sqlite.translate.nodes import Node, kind_of, refused
from plugins.database.sqlite.translate.queries.select import emit_query
from plugins.database.sqlite.translate.routines import (
    Call,
    body_scope,
    find,
    mismatch,
    reads,
    result_columns,
    result_types,
    writes,
)
from plugins.database.sqlite.translate.scope import Scope


def emit_writing_call(fields: Node, scope: Scope) -> Plan | None:
    """Return the plan of a SELECT that is nothing but the call of a function that writes; None for any other."""
    node = _only_call(fields)
    if node is None or not scope.catalogue.functions:
        return None
    call = find(node, scope)
    if call is None or not writes(call.function, scope.catalogue):
        return None
    function = call.function
    if scope.rights is not None:
        scope.rights.call(function)
    for argument in call.arguments:
        if "pg_new_uuid" in argument.sql or "pg_random" in argument.sql:
            raise refused(
                f"an argument of {function.name}() that is another value each time", hint="Bind it."
            )
    plans = _statements(call, scope)
    width = 0 if function.returns_set else len(result_columns(function, scope.catalogue))
    if not any(plan.steps for plan in plans):
        return Plan("write", "; ".join(plan.sql for plan in plans), "SELECT", width=width)
    steps = [step for plan in plans for step in (*plan.steps, Step(plan.sql, "done"))]
    watched = tuple(dict.fromkeys(table for plan in plans for table in plan.watched))
    return Plan("write", steps[-1].sql, "SELECT", width=width, steps=tuple(steps[:-1]), watched=watched)


def _only_call(fields: Node) -> Node | None:
    """Return the FuncCall of ``select f()`` and ``select * from f()``."""
    if (
        set(fields) - {"targetList", "fromClause", "limitOption", "op"}
        or len(fields.get("targetList", ())) != 1
    ):
        return None
    value = fields["targetList"][0]["ResTarget"]["val"]
    if "fromClause" not in fields:
        return dict(value["FuncCall"]) if "FuncCall" in value else None
    source = fields["fromClause"][0].get("RangeFunction", {})
    if len(fields["fromClause"]) > 1 or "ordinality" in source or "functions" not in source:
        return None
    if "ColumnRef" not in value or "A_Star" not in value["ColumnRef"]["fields"][-1]:
        return None
    node = source["functions"][0]["List"]["items"][0]
    return dict(node["FuncCall"]) if "FuncCall" in node else None


def _statements(call: Call, scope: Scope) -> list[Plan]:
    """Return what a call of a function that writes runs; only the last of it returns rows."""
    from plugins.database.sqlite.translate.statements import emit_data

    function = call.function
    plans: list[Plan] = []
    for place, node in enumerate(function.statements, 1):
        inner = body_scope(function, call.arguments, scope)
        is_last = place == len(function.statements) and function.returns != "void"
        kind, fields = kind_of(node)
        if is_last:
            inner.returned = result_types(function, scope.catalogue)
            if reads(node, scope.catalogue):
                plans.append(Plan("read", emit_query(fields, inner, inner.returned).sql, "SELECT"))
                continue
            if kind != "SelectStmt" and "returningClause" not in fields:
                raise mismatch(function)
        elif reads(node, scope.catalogue):
            continue  # what it reads goes nowhere
        elif "returningClause" in fields:
            fields = {name: value for name, value in fields.items() if name != "returningClause"}
        plans.append(emit_data({kind: fields}, inner))
    if function.returns == "void":
        plans.append(Plan("read", "SELECT ''", "SELECT"))
    return plans
