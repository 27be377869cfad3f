"""Operands: columns, what stands at a path inside their JSON, and casts."""

from __future__ import annotations

import itertools
from difflib import get_close_matches

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Field
from plugins.records.compiling.statement import Operand, Scope, Statement
from plugins.records.dialects.dialect import fill


def operand(statement: Statement, scope: Scope, field: Field) -> Operand:
    """Return a field of a scope's table; raises `DatabaseError` 42703 where it has no such column."""
    column = scope.table.columns.get(field.column)
    if column is None:
        found = _computed(statement, scope, field.column)
    else:
        found = Operand(scope.column(column.name), statement.database.stored(column.type))
    return _at_path(statement, found, field) if field.path else found


def _computed(statement: Statement, scope: Scope, name: str) -> Operand:
    function = statement.relationships.computed.column(scope.table, name)
    if function is None:
        raise _no_column(scope, name)
    return Operand(statement.call_of(scope, function), statement.database.stored(function.returns))


def cast(statement: Statement, value: Operand, type_name: str) -> Operand:
    """Return a value as another type, through its text."""
    target = statement.database.stored(type_name)
    text = fill(value.stored.to_text, value.sql)
    return Operand(fill(target.assign_text, f"({text})"), target)


def no_operator(left: str, right: str) -> DatabaseError:
    """Return PostgreSQL's error for an operator between types that have none."""
    hint = "No operator matches the given name and argument types. You might need to add explicit type casts."
    return DatabaseError(f"operator does not exist: {left} {right}", sqlstate="42883", hint=hint)


def _at_path(statement: Statement, value: Operand, field: Field) -> Operand:
    last = field.path[-1]
    for step, following in itertools.pairwise(field.path):
        if step.as_text:
            arrow = "->>" if following.as_text else "->"
            raise no_operator(f"text {arrow}", "integer" if isinstance(following.key, int) else "unknown")
    dialect, database = statement.dialect, statement.database
    path = statement.constant(dialect.json_path(field.path))
    json = fill(value.stored.to_json, value.sql)
    jsonb = database.stored("jsonb")
    if not last.as_text:
        return Operand(dialect.json_at(json, path), jsonb)
    # A document of the type json keeps its text; only that of jsonb is counted from its end inside another.
    from_end = any(isinstance(step.key, int) and step.key < 0 for step in field.path[1:])
    written = None if value.stored.type == "json" and not from_end else jsonb.to_text
    return Operand(dialect.text_at(json, path, written), database.stored("text"))


def _no_column(scope: Scope, name: str) -> DatabaseError:
    near = get_close_matches(name, scope.table.columns, n=1, cutoff=0.7)
    hint = f'Perhaps you meant to reference the column "{scope.label}.{near[0]}".' if near else None
    return DatabaseError(
        f"column {scope.label}.{name} does not exist",
        sqlstate="42703",
        hint=hint,
        table=scope.table.name,
        column=name,
    )
