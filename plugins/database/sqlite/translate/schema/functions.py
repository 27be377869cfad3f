"""CREATE FUNCTION and DROP FUNCTION, for functions in SQL."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.contracts.catalogue import Argument, Catalogue, Function
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Routine
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.stored import base_type, plain_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, placeless, refused, strings
from plugins.database.sqlite.translate.routines import (
    body_scope,
    emit_body,
    mismatch,
    result_types,
    row_type,
    writes,
)
from plugins.database.sqlite.translate.schema.dependents import Dropped, Reason, callers
from plugins.database.sqlite.translate.schema.rights.executors import first_executors
from plugins.database.sqlite.translate.schema.tables.defaults import altered_default_text
from plugins.database.sqlite.translate.scope import Expr, Scope, WholeRow, check_name, table_types

PLPGSQL = (
    "plpgsql runs on PostgreSQL only: keep the statement to that engine, or write it as SQL or as a function "
    "of a plugin."
)
_VARIADIC = "FUNC_PARAM_VARIADIC"
_IN = ("FUNC_PARAM_DEFAULT", "FUNC_PARAM_IN", "FUNC_PARAM_INOUT", _VARIADIC)
_OUT = ("FUNC_PARAM_OUT", "FUNC_PARAM_INOUT", "FUNC_PARAM_TABLE")
# They tell PostgreSQL's planner what to expect, and change no answer.
_HINTS = frozenset({"cost", "parallel", "leakproof"})


def create_function(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE FUNCTION."""
    only(
        fields, "CREATE FUNCTION", "replace", "funcname", "parameters", "returnType", "options", "sql_body",
        "is_procedure",
    )  # fmt: skip
    if fields.get("is_procedure"):
        raise refused("CREATE PROCEDURE", hint="Write a function that returns void.")
    schema, name = function_name(fields["funcname"])
    if schema not in catalogue.schemas:
        raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
    options = _options(fields.get("options", ()))
    parameters = [item["FunctionParameter"] for item in fields.get("parameters", ())]
    inputs = [one for one in parameters if one["mode"] in _IN]
    columns = [one for one in parameters if one["mode"] in _OUT]
    returns, returns_set = _returns(fields.get("returnType"), columns, catalogue)
    function = Routine(
        schema=schema,
        name=name,
        arguments=tuple(_argument(one, parsed, catalogue) for one in inputs),
        returns=returns,
        returns_set=returns_set,
        promises_one=returns_set and options.get("rows") == 1,
        columns=tuple(Argument(one.get("name"), _declared(one["argType"], catalogue)) for one in columns),
        volatility=options.get("volatility", "volatile"),
        security_definer=options.get("security", False),
        statements=_statements(fields, options),
        defaults=tuple(placeless(one["defexpr"]) if "defexpr" in one else None for one in inputs),
        strict=options.get("strict", False),
        executors=first_executors(schema, catalogue),
    )
    before = next(
        (one for one in catalogue.functions.get((schema, name), ()) if one.signature == function.signature),
        None,
    )
    _check_new(function, before, replacing=bool(fields.get("replace")))
    _check_body(function, catalogue)
    if before is not None and callers(catalogue, before):
        raise refused(
            f"replacing the function {before.name}(), which views call", hint="Drop the views first."
        )
    if before is not None:
        function = msgspec.structs.replace(function, comment=before.comment, executors=before.executors)
    return Plan("schema", "", "CREATE FUNCTION", (Change(schema, function.signature, function=function),))


def function_name(nodes: list[Node]) -> tuple[str, str]:
    """Return schema and name of a function."""
    names = strings(nodes)
    for name in names:
        check_name(name)
    return ("public", names[0]) if len(names) == 1 else (names[-2], names[-1])


def _options(nodes: list[Node]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in nodes:
        option = node["DefElem"]
        kind, value = kind_of(option["arg"])
        name = option["defname"]
        if name in ("language", "volatility"):
            found[name] = value["sval"]
        elif name in ("strict", "security"):
            found[name] = bool(value.get("boolval"))
        elif name == "rows":
            found[name] = value.get("ival", value.get("fval"))
        elif name == "as":
            found[name] = strings(value["items"])
        elif name == "set":
            if kind != "VariableSetStmt" or value.get("name") != "search_path":
                raise refused("a function with SET of another setting than search_path")
        elif name not in _HINTS:
            raise refused(f"a function with {name.upper()}")
    language = found.get("language", "sql").lower()
    if language != "sql":
        hint = PLPGSQL if language == "plpgsql" else f"{language} runs on PostgreSQL only."
        raise refused(f"a function in {language}", hint=hint)
    return found


def _argument(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Argument:
    only(fields, "an argument", "name", "argType", "mode", "defexpr")
    default = altered_default_text(parsed, fields["defexpr"]) if "defexpr" in fields else None
    declared = _declared(fields["argType"], catalogue)
    return Argument(fields.get("name"), declared, default, fields["mode"] == _VARIADIC)


def _declared(node: Node, catalogue: Catalogue) -> str:
    """Return the type of an argument, which may be that of a table's rows."""
    names = strings(node["names"])
    schema, name = ("public", names[0]) if len(names) == 1 else (names[-2], names[-1])
    if len(names) <= 2 and "arrayBounds" not in node and catalogue.table(name, schema) is not None:
        return name if schema == "public" else f"{schema}.{name}"
    return plain_type(types.type_name(node, catalogue))


def _returns(node: Node | None, columns: list[Node], catalogue: Catalogue) -> tuple[str, bool]:
    if any(one["mode"] == "FUNC_PARAM_TABLE" for one in columns):
        return "record", True
    if columns:
        made = "record" if len(columns) > 1 else _declared(columns[0]["argType"], catalogue)
        given = None if node is None else strings(node["names"])[-1:]
        if given is not None and made != "record" and _declared(node or {}, catalogue) != made:
            message = f"function result type must be {made} because of OUT parameters"
            raise DatabaseError(message, sqlstate="42P13")
        if given is not None and made == "record" and given != ["record"]:
            message = "function result type must be record because of OUT parameters"
            raise DatabaseError(message, sqlstate="42P13")
        return made, bool((node or {}).get("setof"))
    if node is None:
        raise DatabaseError("function result type must be specified", sqlstate="42P13")
    names = [name for name in strings(node["names"]) if name != "pg_catalog"]
    plain = {key: value for key, value in node.items() if key != "setof"}
    schema, name = ("public", names[0]) if len(names) == 1 else (names[-2], names[-1])
    if catalogue.table(name, schema) is not None:
        return (name if schema == "public" else f"{schema}.{name}"), bool(node.get("setof"))
    if names == ["void"]:
        return "void", False
    if names == ["trigger"]:
        raise refused("a trigger", hint=PLPGSQL)
    return plain_type(types.type_name(plain, catalogue)), bool(node.get("setof"))


def _statements(fields: Node, options: dict[str, Any]) -> tuple[Node, ...]:
    if "sql_body" in fields:
        nodes = _flat(fields["sql_body"])
    elif len(options.get("as", ())) == 1:
        parsed = parser.parse(options["as"][0])
        if parsed.parameters:
            raise DatabaseError(f'syntax error at or near ":{parsed.parameters[0]}"', sqlstate="42601")
        nodes = list(parsed.statements)
    else:
        raise DatabaseError("no function body specified", sqlstate="42P13")
    for node in nodes:
        if kind_of(node)[0] not in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"):
            raise refused(f"{kind_of(node)[0].removesuffix('Stmt').upper()} in a function")
    return tuple(placeless(node) for node in nodes)


def _flat(node: Node) -> list[Node]:
    kind, fields = kind_of(node)
    if kind == "List":
        return [inner for item in fields.get("items", ()) if item for inner in _flat(item)]
    if kind == "ReturnStmt":
        return [{"SelectStmt": {"targetList": [{"ResTarget": {"val": fields["returnval"]}}]}}]
    return [node]


def _check_new(function: Routine, before: Function | None, *, replacing: bool) -> None:
    if before is None:
        return
    if not replacing:
        raise DatabaseError(
            f'function "{function.name}" already exists with same argument types', sqlstate="42723"
        )
    if (before.returns, before.returns_set, before.columns) != (
        function.returns,
        function.returns_set,
        function.columns,
    ):
        raise DatabaseError(
            "cannot change return type of existing function",
            sqlstate="42P13",
            hint=f"Use DROP FUNCTION {before.signature} first.",
        )


def _check_body(function: Routine, catalogue: Catalogue) -> None:
    """Emit the body once, so that what is wrong with it shows when the function is made."""
    from plugins.database.sqlite.translate.statements import emit_data

    scope = Scope(catalogue, ())
    if function.strict and function.statements and writes(function, catalogue):
        raise refused("a STRICT function that writes")
    values = [_nothing(argument.type, catalogue) for argument in function.arguments]
    if not function.statements:
        if function.returns == "void":
            return
        raise mismatch(function)
    kind, fields = kind_of(function.statements[-1])
    if kind != "SelectStmt" and function.returns != "void" and "returningClause" not in fields:
        raise mismatch(function)
    for node in function.statements[:-1]:
        emit_data(node, body_scope(function, values, scope))
    try:
        if not writes(function, catalogue) and function.returns != "void":
            emit_body(function, values, scope)
            return
        inner = body_scope(function, values, scope)
        inner.returned = result_types(function, catalogue)
        emit_data(function.statements[-1], inner)
    except DatabaseError as error:
        if error.sqlstate == "42804" and "does not go where" in error.message:
            raise mismatch(function) from error
        raise


def _nothing(declared: str, catalogue: Catalogue) -> Expr:
    """Return a null of an argument's type, whose columns are null where that is a row."""
    table = row_type(declared, catalogue)
    if table is None:
        return Expr("NULL")
    fields = {name: Expr("NULL", base_type(column.type), name=name) for name, column in table.columns.items()}
    return Expr("NULL", RowType.of(table_types(table).items(), table), row=WholeRow(table, fields))


def drop_function(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP FUNCTION."""
    changes = []
    dropped = Dropped(catalogue)
    cascade = fields["behavior"] == "DROP_CASCADE"
    for item in fields["objects"]:
        found = _named(item["ObjectWithArgs"], catalogue)
        if found is not None:
            dropped.function(found, Reason(f"function {found.signature}", cascade))
            changes.append(Change(found.schema, found.signature, function=found, is_gone=True))
        elif not fields.get("missing_ok"):
            raise _missing(item["ObjectWithArgs"], catalogue)
    return Plan(
        "schema",
        "; ".join(dropped.sql),
        "DROP FUNCTION",
        (*dropped.changes, *changes),
        rebuilds=tuple(dropped.rebuilds),
    )


def comment_on_function(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a COMMENT ON FUNCTION."""
    found = named_function(fields["object"]["ObjectWithArgs"], catalogue)
    after = msgspec.structs.replace(found, comment=fields.get("comment"))
    return Plan("schema", "", "COMMENT", (Change(found.schema, found.signature, function=after),))


def named_function(fields: Node, catalogue: Catalogue) -> Function:
    """Return the function that a statement names; raises 42883, or 42725 for several."""
    found = _named(fields, catalogue)
    if found is None:
        raise _missing(fields, catalogue)
    return found


def _named(fields: Node, catalogue: Catalogue) -> Function | None:
    schema, name = function_name(fields["objname"])
    overloads = catalogue.functions.get((schema, name), ())
    if fields.get("args_unspecified"):
        if len(overloads) > 1:
            raise DatabaseError(f'function name "{name}" is not unique', sqlstate="42725")
        return overloads[0] if overloads else None
    wanted = _types(fields, catalogue)
    return next((one for one in overloads if [argument.type for argument in one.arguments] == wanted), None)


def _types(fields: Node, catalogue: Catalogue) -> list[str]:
    return [_declared(item["TypeName"], catalogue) for item in fields.get("objargs", ())]


def _missing(fields: Node, catalogue: Catalogue) -> DatabaseError:
    name = ".".join(strings(fields["objname"]))
    if fields.get("args_unspecified"):
        return DatabaseError(f'could not find a function named "{name}"', sqlstate="42883")
    return DatabaseError(
        f"function {name}({', '.join(_types(fields, catalogue))}) does not exist", sqlstate="42883"
    )
