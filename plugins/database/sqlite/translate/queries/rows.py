"""Functions that return rows, in FROM and in a select list."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote, text_literal
from plugins.database.sqlite.stored import describe
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.builtins.rows import FUNCTIONS, RECORDS
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.expressions.signatures import Signature, call, missing, resolve
from plugins.database.sqlite.translate.nodes import Node, only, refused, strings
from plugins.database.sqlite.translate.queries import populating
from plugins.database.sqlite.translate.scope import Expr, Item, Scope
from plugins.database.sqlite.values.textual.strings import json_path

# An array's elements of these types lose digits in SQLite's own numbers, or are documents of their own.
_BY_TEXT = frozenset({"numeric", "real", "double precision", "jsonb"})
_FROM_TEXT = {"real": "pg_float4({})", "double precision": "pg_float8({})", "bytea": "pg_bytea({})"}


def element_source(array: str, element: str) -> str:
    """Return what ``json_each`` takes to spread out an array whose SQL this is."""
    return f"pg_elements({array})" if element in _BY_TEXT else array


def element_value(value: str, element: str) -> str:
    """Return an element's stored form, given the SQL of ``json_each``'s value."""
    return _FROM_TEXT.get(element, "{}").replace("{}", value)


def emit_function(fields: Node, scope: Scope) -> str:
    """Emit a function in FROM and make its columns visible; its arguments may name what stands before it."""
    only(
        fields,
        "a function in FROM",
        "lateral",
        "functions",
        "alias",
        "ordinality",
        "is_rowsfrom",
        "coldeflist",
    )
    if fields.get("is_rowsfrom"):
        raise refused("ROWS FROM")
    node = fields["functions"][0]["List"]["items"][0]
    if "FuncCall" not in node:
        raise refused("an expression in FROM")
    function = node["FuncCall"]
    name = strings(function["funcname"])[-1]
    alias_fields = fields.get("alias", {})
    only(alias_fields, "an alias of a function", "aliasname", "colnames")
    alias = alias_fields.get("aliasname", name)
    if name in (*populating.ONE, *populating.MANY) and "coldeflist" not in fields:
        only(alias_fields, f"an alias of {name}()", "aliasname")
        return populating.emit_source(name, function, scope, alias)
    if "coldeflist" in fields or name in RECORDS:
        return _records(name, function, fields.get("coldeflist"), scope, alias)
    source, columns, item_name = _spread(function, scope, alias)
    if item_name is None and "aliasname" in alias_fields:
        columns = [(alias, *columns[0][1:])]
    if fields.get("ordinality"):
        columns.append(("ordinality", "bigint", f'({quote(alias)}."key" + 1)'))
    given = strings(alias_fields.get("colnames", []))
    if len(given) > len(columns):
        raise DatabaseError("more column names than columns", sqlstate="42P10")
    named = [(new, *rest) for new, (_, *rest) in zip(given, columns, strict=False)] + columns[len(given) :]
    scope.add(
        Item(
            alias,
            {column: kind for column, kind, _ in named},
            computed={column: sql for column, _, sql in named},
            scalar=len(named) == 1,
        )
    )
    return f"json_each({source}) AS {quote(alias)}"


def _records(name: str, function: Node, listed: list[Node] | None, scope: Scope, alias: str) -> str:
    """Emit ``jsonb_to_recordset(...) as x(a int, b text)`` and its like: members of objects as columns."""
    source = RECORDS.get(name)
    if source is None:
        raise DatabaseError(
            'a column definition list is only allowed for functions returning "record"', sqlstate="42601"
        )
    if listed is None:
        message = 'a column definition list is required for functions returning "record"'
        raise DatabaseError(message, sqlstate="42601")
    kind, _, _ = name.partition("_")
    arguments = [expressions.emit(item, scope) for item in function.get("args", ())]
    found = resolve((Signature((kind,), source, "record"),), arguments)
    if found is None:
        raise missing(name, arguments)
    columns: dict[str, str] = {}
    computed: dict[str, str] = {}
    for item in listed:
        column = item["ColumnDef"]
        only(column, "a column of a record", "colname", "typeName", "is_local")
        declared = types.type_name(column["typeName"], scope.catalogue)
        path = text_literal(json_path(column["colname"]) or "")
        member = f'({quote(alias)}."value" -> {path})'
        columns[column["colname"]] = declared
        computed[column["colname"]] = describe(declared).assign_json.replace("{}", member)
    scope.add(Item(alias, columns, computed=computed))
    return f"json_each({call(source, found[1])}) AS {quote(alias)}"


def emit_in_list(name: str, function: Node, scope: Scope) -> Expr:
    """Emit a function that returns rows in a select list: it is joined to what FROM gives."""
    if scope.spread is None:
        raise DatabaseError("set-returning functions are not allowed here", sqlstate="0A000")
    if scope.spread:
        raise refused("a second set-returning function in a select list")
    alias = f"kernel.{name}"
    source, columns, _ = _spread(function, scope, alias)
    if len(columns) != 1:
        raise refused(f"{name}() in a select list", hint="Put it into FROM.")
    scope.spread.append(f"json_each({source}) AS {quote(alias)}")
    ((_, kind, sql),) = columns
    return Expr(sql, kind, name=name)


def _spread(function: Node, scope: Scope, alias: str) -> tuple[str, list[tuple[str, str, str]], str | None]:
    """Return what ``json_each`` takes, the columns (name, type, SQL), and the name of the one that has its own."""
    names = strings(function["funcname"])
    name = names[-1]
    only(function, f"{name}()", "funcname", "args", "funcformat")
    arguments = [expressions.emit(item, scope) for item in function.get("args", ())]
    rows = FUNCTIONS.get(name)
    if rows is None:
        raise refused(f"the function {name} in FROM")
    found = resolve(rows.signatures, arguments)
    if found is None:
        raise missing(name, arguments)
    signature, converted, result = found
    source, value = call(signature.sql, converted), f'{quote(alias)}."value"'
    if rows.columns:
        columns = [
            (column, kind, f"({value} ->> {place})") for place, (column, kind) in enumerate(rows.columns)
        ]
        return source, columns, ""
    if signature.result == "element":
        source, value = element_source(source, result), element_value(value, result)
    return source, [(rows.named or name, result, value)], rows.named
