"""Calls of SQL functions: those that only read become a part of the statement, those that write become statements.

Inside a query, a function's body stands where its call stands. Arguments without columns stand in the body
themselves; others are bound by a subquery around it, so that the body's own names cannot capture theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import CALLED, Routine
from plugins.database.sqlite.catalogue.kinds import DomainType, RowType
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.stored import base_type, element_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import arrays, composites, expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.select import Query, emit_query
from plugins.database.sqlite.translate.queries.spreading import emit_in_list
from plugins.database.sqlite.translate.queries.writing.carried import packed_query
from plugins.database.sqlite.translate.queries.writing.steps import writes_within
from plugins.database.sqlite.translate.scope import Expr, Scope, table_types

_TEXTS = re.compile(r"'(?:[^']|'')*'")
_CHANGING = ("pg_new_uuid", "pg_random")


class Call(NamedTuple):
    """A call whose function is found: its arguments as expressions of their types."""

    function: Routine
    arguments: tuple[Expr, ...]


def find(fields: Node, scope: Scope) -> Call | None:
    """Return the call of a function that a migration made, or None where there is none of the name.

    Raises 42883 where none of that name takes the arguments.
    """
    names = strings(fields["funcname"])
    schema = names[0] if len(names) > 1 else "public"
    candidates = scope.catalogue.functions.get((schema, names[-1]), ())
    if not candidates or fields.get("agg_star"):
        return None
    only(fields, f"{names[-1]}()", "funcname", "args", "funcformat", "func_variadic")
    given, named = _given(fields, scope)
    is_packed = bool(fields.get("func_variadic"))
    calls = (_fit(one, given, named, scope, is_packed=is_packed) for one in candidates)
    fitting = [call for call in calls if call is not None]
    if not fitting:
        listed = ", ".join(
            [_shown(expr) for expr in given] + [f"{name} => {_shown(expr)}" for name, expr in named.items()]
        )
        raise DatabaseError(
            f"function {'.'.join(names)}({listed}) does not exist",
            sqlstate="42883",
            hint="No function matches the given name and argument types. You might need to add explicit type casts.",
        )
    return min(fitting, key=lambda found: found[0])[1]


def _shown(expr: Expr) -> str:
    return expr.type or "unknown"


def _given(fields: Node, scope: Scope) -> tuple[list[Expr], dict[str, Expr]]:
    given: list[Expr] = []
    named: dict[str, Expr] = {}
    for item in fields.get("args", ()):
        kind, argument = kind_of(item)
        if kind == "NamedArgExpr":
            named[argument["name"]] = expressions.emit(argument["arg"], scope)
        else:
            given.append(expressions.emit(item, scope))
    return given, named


def _fit(
    function: Function, given: Sequence[Expr], named: Mapping[str, Expr], scope: Scope, *, is_packed: bool
) -> tuple[int, Call] | None:
    """Return how many arguments need a conversion, and the call; None where the function does not take them.

    What a last argument takes any number of is given as an array where the call says VARIADIC (`is_packed`).
    """
    if not isinstance(function, Routine):
        raise TypeError(f"the function {function.name} does not come from SQLite's catalogue")
    packed = _packed(function, given, named, is_packed=is_packed)
    if packed is None:
        return None
    given = packed
    names = [argument.name for argument in function.arguments]
    if len(given) > len(names) or not set(named) <= set(names[len(given) :]):
        return None
    arguments, cost = [], 0
    for place, argument in enumerate(function.arguments):
        default = function.defaults[place]
        if place < len(given):
            expr = given[place]
        elif argument.name is not None and argument.name in named:
            expr = named[argument.name]
        elif default is not None:
            expr = expressions.emit(default, Scope(scope.catalogue, ()))
        else:
            return None
        is_default = place >= len(given) and argument.name not in named
        taken = _taken(expr, argument.type, scope.catalogue, is_default=is_default)
        if taken is None:
            return None
        arguments.append(taken)
        cost += taken.row is None and expr.type != base_type(argument.type)
    return cost, Call(function, tuple(arguments))


def _taken(expr: Expr, declared: str, catalogue: Catalogue, *, is_default: bool) -> Expr | None:
    """Return a value as an argument of a type; None where it is of another. A default is assigned."""
    table = row_type(declared, catalogue)
    if table is not None:
        kind = RowType.of(table_types(table).items(), table)
        if expr.is_null and expr.type is None:
            expr = expr._replace(type=kind)
        return expr._replace(row=composites.fields_of(expr)) if expr.type == kind else None
    try:
        return types.admitted(types.coerce(expr, declared, assign=is_default), declared)
    except DatabaseError as error:
        if error.sqlstate != "42804":
            raise
        return None


def _packed(
    function: Routine, given: Sequence[Expr], named: Mapping[str, Expr], *, is_packed: bool
) -> Sequence[Expr] | None:
    """Return arguments with those that a last one takes as its array; None where the function takes no such."""
    if is_packed or not function.arguments or not function.arguments[-1].variadic:
        return given
    last, before = function.arguments[-1], len(function.arguments) - 1
    if last.name in named:
        return None
    if len(given) <= before:
        return given
    element = element_of(base_type(last.type))
    if element is None:
        return None
    try:
        items = [types.coerce(expr, element) for expr in given[before:]]
    except DatabaseError as error:
        if error.sqlstate != "42804":
            raise
        return None
    return [*given[:before], arrays.of_items(items, element)]


def row_type(declared: str, catalogue: Catalogue) -> Table | None:
    """Return the table whose rows a type is, None for any other type."""
    schema, _, name = declared.rpartition(".")
    return catalogue.table(name, schema or "public")


def emit_field(names: list[str], scope: Scope) -> Expr | None:
    """Emit ``row.name`` as the call of a function that takes such a row; None where there is none."""
    _, item = scope.find(names[0])
    if item.table is None:
        return None
    for schema in dict.fromkeys(("public", item.table.schema)):
        node = {
            "funcname": [{"String": {"sval": schema}}, {"String": {"sval": names[1]}}],
            "args": [{"ColumnRef": {"fields": [{"String": {"sval": names[0]}}]}}],
        }
        if any(len(one.arguments) == 1 for one in scope.catalogue.functions.get((schema, names[1]), ())):
            call = find(node, scope)
            return None if call is None else emit_value(call, scope)
    return None


def writes(function: Routine, catalogue: Catalogue) -> bool:
    """Tell whether a function's body writes, itself or by a function that it calls."""
    return not all(reads(node, catalogue) for node in function.statements)


def reads(node: Node, catalogue: Catalogue) -> bool:
    """Tell whether a statement of a body only reads, in functions that it calls too."""
    kind, fields = kind_of(node)
    return kind == "SelectStmt" and not writes_within(fields) and not _calls_a_writer(node, catalogue)


def _calls_a_writer(tree: object, catalogue: Catalogue) -> bool:
    if isinstance(tree, list):
        return any(_calls_a_writer(item, catalogue) for item in tree)
    if not isinstance(tree, dict):
        return False
    if "FuncCall" in tree:
        names = strings(tree["FuncCall"]["funcname"])
        key = (names[0] if len(names) > 1 else "public", names[-1])
        for function in catalogue.functions.get(key, ()):
            if (
                isinstance(function, Routine)
                and function.volatility == "volatile"
                and writes(function, catalogue)
            ):
                return True
    return _calls_a_writer(list(tree.values()), catalogue)


def emit_value(call: Call, scope: Scope) -> Expr:
    """Emit a call in an expression."""
    function = call.function
    if function.returns_set:
        return emit_in_list(call, scope)
    if function.returns == "void":
        raise refused(f"the result of {function.name}() in an expression", hint="Put it into FROM.")
    columns = result_columns(function, scope.catalogue)
    row = _returned_row(function, columns, scope.catalogue)
    if row is None and is_expression(function):
        _check_callable(function, scope)
        return _strictly(call, _expression(function, call.arguments, scope))
    values, around = _bound(call)
    query = _body(function, values, scope)
    if row is not None:
        sql = f"(SELECT {composites.packed(row)} FROM {composites.numbered(row, query.sql)} LIMIT 1)"
        return _strictly(call, around.replace("{}", sql))._replace(type=row)
    sql = f"({query.sql})" if query.single else f"(SELECT * FROM ({query.sql}) LIMIT 1)"
    return _strictly(call, around.replace("{}", sql))


def _returned_row(
    function: Function, columns: Sequence[tuple[str, str]], catalogue: Catalogue
) -> RowType | None:
    """Return the type of what a function returns where that is a row."""
    table = row_type(function.returns, catalogue)
    return RowType.of(columns, table) if table is not None or len(columns) != 1 else None


def _bound(call: Call) -> tuple[list[Expr], str]:
    """Return the arguments for the body, and what stands around it to bind those that may not stand in it."""
    label = quote(f"kernel.{call.function.name}")
    bound = [place for place, argument in enumerate(call.arguments) if not stands(argument)]
    values = list(call.arguments)
    pieces = []
    for place in bound:
        argument = values[place]
        if argument.row is not None:
            names = {column: quote(f"p{place} {column}") for column in argument.row.fields}
            pieces += [f"{value.sql} AS {names[column]}" for column, value in argument.row.fields.items()]
            fields = {
                column: value._replace(sql=f"{label}.{names[column]}")
                for column, value in argument.row.fields.items()
            }
            values[place] = argument._replace(row=argument.row._replace(fields=fields))
        else:
            pieces.append(f"{argument.sql} AS p{place}")
            values[place] = argument._replace(sql=f"{label}.p{place}")
    given = ", ".join(pieces)
    return values, f"(SELECT {{}} FROM (SELECT {given}) AS {label})" if bound else "{}"


def is_expression(function: Routine) -> bool:
    """Tell whether a body is one expression, which can stand in constraints and indexes too."""
    fields = function.statements[-1].get("SelectStmt", {})
    if len(function.statements) > 1 or set(fields) - {"targetList", "limitOption", "op"}:
        return False
    tree = fields["targetList"]
    return len(tree) == 1 and not _holds(tree, "SubLink") and not _holds(tree, "A_Star")


def _holds(tree: object, kind: str) -> bool:
    if isinstance(tree, list):
        return any(_holds(item, kind) for item in tree)
    return isinstance(tree, dict) and (kind in tree or any(_holds(value, kind) for value in tree.values()))


def _expression(function: Routine, arguments: Sequence[Expr], scope: Scope) -> str:
    inner = body_scope(function, arguments, scope)
    target = function.statements[-1]["SelectStmt"]["targetList"][0]["ResTarget"]
    value = types.coerce(expressions.emit(target["val"], inner), function.returns, assign=True)
    value = types.admitted(value, function.returns)
    return f"({value.sql})"


def _strictly(call: Call, sql: str) -> Expr:
    function = call.function
    if function.strict and call.arguments:
        tests = " OR ".join(f"{argument.sql} IS NULL" for argument in call.arguments)
        sql = f"CASE WHEN {tests} THEN NULL ELSE {sql} END"
    return Expr(sql, base_type(function.returns), name=function.name)


def stands(argument: Expr) -> bool:
    """Tell whether an argument may stand wherever the body names it: it holds no column and is always the same."""
    sql = _TEXTS.sub("", argument.sql)
    return '"' not in sql and not any(word in sql for word in _CHANGING)


def emit_packed_rows(call: Call, scope: Scope) -> Query:
    """Emit a call in FROM whose arguments name what stands before it: one value that holds its rows."""
    values, around = _bound(call)
    query = emit_rows(Call(call.function, tuple(values)), scope)
    rows = f"({packed_query(query.sql, query.columns)})"
    return msgspec.structs.replace(query, sql=around.replace("{}", rows))


def emit_rows(call: Call, scope: Scope) -> Query:
    """Emit a call in FROM whose arguments stand in its body."""
    function = call.function
    query = _body(function, call.arguments, scope)
    sql = query.sql
    if function.strict and call.arguments:
        tests = " AND ".join(f"{argument.sql} IS NOT NULL" for argument in call.arguments)
        sql = f"SELECT * FROM ({sql}) WHERE {tests}"
    if not function.returns_set:
        nulls = ", ".join("NULL" for _ in query.columns)
        sql = (
            f"SELECT * FROM (SELECT * FROM (SELECT * FROM ({sql}) LIMIT 1) UNION ALL SELECT {nulls}) LIMIT 1"
        )
    return Query(sql, result_columns(function, scope.catalogue), not function.returns_set)


def _body(function: Routine, arguments: Sequence[Expr], scope: Scope) -> Query:
    _check_callable(function, scope)
    return emit_body(function, arguments, scope)


def _check_callable(function: Routine, scope: Scope) -> None:
    scope.reads.add((function.schema, function.signature, CALLED))
    if scope.rights is not None:
        scope.rights.call(function)
    if writes(function, scope.catalogue):
        raise refused(
            f"the function {function.name}(), which writes, within a query",
            hint=f"Call it as SELECT {function.name}(...) or SELECT * FROM {function.name}(...) alone.",
        )
    if (function.schema, function.signature) in scope.inlined:
        raise refused(f"the function {function.name}(), which calls itself,")


def body_scope(function: Routine, arguments: Sequence[Expr], scope: Scope) -> Scope:
    """Return the scope of a function's body."""
    rights = None if function.security_definer else scope.rights
    inner = Scope(scope.catalogue, scope.parameters, rights=rights, snapshot=scope.snapshot)
    inner.inlined = scope.inlined | {(function.schema, function.signature)}
    inner.as_owner = scope.as_owner or function.security_definer
    named = {}
    for place, (argument, value) in enumerate(zip(function.arguments, arguments, strict=True), 1):
        value = value._replace(
            type=base_type(argument.type) if value.row is None else value.type,
            name=argument.name or "?column?",
            literal=None,
            modified=None,
        )
        named[f"${place}"] = value
        if argument.name is not None:
            named[argument.name] = named[f"{function.name}.{argument.name}"] = value
            fields = {} if value.row is None else value.row.fields
            named |= {f"{argument.name}.{column}": field for column, field in fields.items()}
    inner.arguments = named
    return inner


def emit_body(function: Routine, arguments: Sequence[Expr], scope: Scope) -> Query:
    """Emit the last statement of a body that only reads, as the types that the function returns."""
    if not function.statements:  # which only one that returns void may lack
        return Query("SELECT NULL", ((function.name, "text"),), single=True)
    expected = result_types(function, scope.catalogue)
    query = emit_query(kind_of(function.statements[-1])[1], body_scope(function, arguments, scope), expected)
    if expected and len(query.columns) != len(expected):
        raise mismatch(function)
    if not any(isinstance(target, DomainType) for target in expected):
        return query
    names = [f"c{place}" for place in range(len(expected))]
    listed = ", ".join(
        types.admitted(Expr(name), target).sql for name, target in zip(names, expected, strict=True)
    )
    sql = f"WITH q({', '.join(names)}) AS ({query.sql}) SELECT {listed} FROM q"
    return msgspec.structs.replace(query, sql=sql)


def mismatch(function: Function) -> DatabaseError:
    """Return the error for a body that returns something else than was declared."""
    return DatabaseError(
        f"return type mismatch in function declared to return {function.returns}", sqlstate="42P13"
    )


def result_columns(function: Function, catalogue: Catalogue) -> tuple[tuple[str, str], ...]:
    """Return the names and types of the columns that a call gives in FROM."""
    if function.columns:
        return tuple((column.name or "?column?", column.type) for column in function.columns)
    schema, _, name = function.returns.rpartition(".")
    table = catalogue.table(name, schema or "public")
    if table is not None:
        return tuple((column.name, column.type) for column in table.columns.values())
    return ((function.name, "text" if function.returns == "void" else function.returns),)


def result_types(function: Function, catalogue: Catalogue) -> list[str]:
    """Return the types of the columns that a body must give."""
    return [] if function.returns == "void" else [kind for _, kind in result_columns(function, catalogue)]
