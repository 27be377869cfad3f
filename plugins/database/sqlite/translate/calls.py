"""Function calls: PostgreSQL's functions that SQLite has or that our connections carry."""

from __future__ import annotations

from typing import NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.translate import expressions, types
from plugins.database.sqlite.translate.nodes import Node, only, refused, strings
from plugins.database.sqlite.translate.scope import Expr, Scope

TIMESTAMPTZ = "timestamp with time zone"


class Signature(NamedTuple):
    """One function: its arguments' types (a trailing ``?`` makes one optional), its SQL, and its result's type.

    The type ``same`` takes the first argument's type; ``any`` leaves an argument as it is, as text where unknown.
    """

    arguments: tuple[str, ...]
    sql: str
    result: str
    variadic: bool = False


_S = Signature
_SCALARS: dict[str, tuple[Signature, ...]] = {
    "now": (_S((), "pg_now()", TIMESTAMPTZ),),
    "transaction_timestamp": (_S((), "pg_now()", TIMESTAMPTZ),),
    "gen_random_uuid": (_S((), "pg_new_uuid()", "uuid"),),
    "uuid_generate_v4": (_S((), "pg_new_uuid()", "uuid"),),
    "lower": (_S(("text",), "pg_lower({0})", "text"),),
    "upper": (_S(("text",), "pg_upper({0})", "text"),),
    "initcap": (_S(("text",), "pg_initcap({0})", "text"),),
    "length": (_S(("text",), "length({0})", "integer"),),
    "char_length": (_S(("text",), "length({0})", "integer"),),
    "character_length": (_S(("text",), "length({0})", "integer"),),
    "octet_length": (_S(("text",), "octet_length({0})", "integer"),),
    "btrim": (_S(("text",), "trim({0})", "text"), _S(("text", "text"), "trim({0}, {1})", "text")),
    "ltrim": (_S(("text",), "ltrim({0})", "text"), _S(("text", "text"), "ltrim({0}, {1})", "text")),
    "rtrim": (_S(("text",), "rtrim({0})", "text"), _S(("text", "text"), "rtrim({0}, {1})", "text")),
    "substr": (
        _S(("text", "integer"), "pg_substring({0}, {1})", "text"),
        _S(("text", "integer", "integer"), "pg_substring({0}, {1}, {2})", "text"),
    ),
    "strpos": (_S(("text", "text"), "instr({0}, {1})", "integer"),),
    "position": (_S(("text", "text"), "instr({0}, {1})", "integer"),),
    "replace": (_S(("text", "text", "text"), "pg_replace({0}, {1}, {2})", "text"),),
    "left": (_S(("text", "integer"), "pg_left({0}, {1})", "text"),),
    "right": (_S(("text", "integer"), "pg_right({0}, {1})", "text"),),
    "reverse": (_S(("text",), "pg_reverse({0})", "text"),),
    "repeat": (_S(("text", "integer"), "pg_repeat({0}, {1})", "text"),),
    "split_part": (_S(("text", "text", "integer"), "pg_split_part({0}, {1}, {2})", "text"),),
    "md5": (_S(("text",), "pg_md5({0})", "text"),),
    "abs": (
        _S(("integer",), "abs({0})", "same"),
        _S(("bigint",), "abs({0})", "same"),
        _S(("numeric",), "pg_numeric_abs({0})", "numeric"),
        _S(("double precision",), "abs({0})", "double precision"),
    ),
    "round": (
        _S(("numeric",), "pg_numeric_round({0}, 0)", "numeric"),
        _S(("double precision",), "pg_float_round({0})", "double precision"),
        _S(("numeric", "integer"), "pg_numeric_round({0}, {1})", "numeric"),
    ),
    "ceil": (
        _S(("numeric",), "pg_numeric_ceil({0})", "numeric"),
        _S(("double precision",), "ceil({0})", "double precision"),
    ),
    "floor": (
        _S(("numeric",), "pg_numeric_floor({0})", "numeric"),
        _S(("double precision",), "floor({0})", "double precision"),
    ),
    "mod": (_S(("bigint", "bigint"), "pg_modulo({0}, {1})", "same"),),
    "power": (_S(("double precision", "double precision"), "power({0}, {1})", "double precision"),),
    "sign": (_S(("double precision",), "CAST(sign({0}) AS REAL)", "double precision"),),
    "sqrt": (_S(("double precision",), "sqrt({0})", "double precision"),),
    "random": (_S((), "pg_random()", "double precision"),),
    "date_trunc": (
        _S(("text", TIMESTAMPTZ), "pg_date_trunc({0}, {1})", TIMESTAMPTZ),
        _S(("text", "timestamp without time zone"), "pg_date_trunc({0}, {1})", "timestamp without time zone"),
    ),
    "extract": (
        _S(("text", TIMESTAMPTZ), "pg_extract({0}, {1})", "numeric"),
        _S(("text", "timestamp without time zone"), "pg_extract({0}, {1})", "numeric"),
        _S(("text", "date"), "pg_extract({0}, {1})", "numeric"),
    ),
    "concat": (_S(("any",), "concat({*})", "text", True),),
    "concat_ws": (_S(("text", "any"), "concat_ws({*})", "text", True),),
}
_SYNONYMS = {"ceiling": "ceil", "substring": "substr", "pow": "power"}

_AGGREGATES: dict[str, tuple[Signature, ...]] = {
    "sum": (
        _S(("smallint",), "sum({0})", "bigint"),
        _S(("integer",), "sum({0})", "bigint"),
        _S(("bigint",), "pg_numeric(sum({0}))", "numeric"),
        _S(("numeric",), "pg_numeric_sum({0})", "numeric"),
        _S(("real",), "sum({0})", "real"),
        _S(("double precision",), "sum({0})", "double precision"),
    ),
    "avg": (
        _S(("bigint",), "pg_numeric_avg({0})", "numeric"),
        _S(("numeric",), "pg_numeric_avg({0})", "numeric"),
        _S(("double precision",), "avg({0})", "double precision"),
    ),
    "count": (_S(("any",), "count({0})", "bigint"),),
    "min": (_S(("any",), "min({0})", "same"),),
    "max": (_S(("any",), "max({0})", "same"),),
    "bool_and": (_S(("boolean",), "min({0})", "boolean"),),
    "every": (_S(("boolean",), "min({0})", "boolean"),),
    "bool_or": (_S(("boolean",), "max({0})", "boolean"),),
    "string_agg": (_S(("text", "text"), "group_concat({0}, {1})", "text"),),
}
_WINDOW_ONLY: dict[str, tuple[Signature, ...]] = {
    "row_number": (_S((), "row_number()", "bigint"),),
    "rank": (_S((), "rank()", "bigint"),),
    "dense_rank": (_S((), "dense_rank()", "bigint"),),
    "percent_rank": (_S((), "percent_rank()", "double precision"),),
    "cume_dist": (_S((), "cume_dist()", "double precision"),),
    "ntile": (_S(("integer",), "ntile({0})", "integer"),),
    "first_value": (_S(("any",), "first_value({0})", "same"),),
    "last_value": (_S(("any",), "last_value({0})", "same"),),
    "lag": (
        _S(("any",), "lag({0})", "same"),
        _S(("any", "integer"), "lag({0}, {1})", "same"),
        _S(("any", "integer", "same"), "lag({0}, {1}, {2})", "same"),
    ),
    "lead": (
        _S(("any",), "lead({0})", "same"),
        _S(("any", "integer"), "lead({0}, {1})", "same"),
        _S(("any", "integer", "same"), "lead({0}, {1}, {2})", "same"),
    ),
    "nth_value": (_S(("any", "integer"), "nth_value({0}, {1})", "same"),),
}


def emit_call(fields: Node, scope: Scope) -> Expr:
    """Emit a call of a scalar, aggregate or window function."""
    names = strings(fields["funcname"])
    if len(names) > 1 and names[0] != "pg_catalog":
        raise refused(f"the function {'.'.join(names)}")
    name = _SYNONYMS.get(names[-1], names[-1])
    only(
        fields, f"{name}()", "funcname", "args", "funcformat", "agg_star", "agg_distinct", "agg_filter",
        "agg_order", "over",
    )  # fmt: skip
    if name == "timezone":
        return _at_time_zone(fields, scope)
    if name in _AGGREGATES or name in _WINDOW_ONLY:
        return _aggregate(name, names[-1], fields, scope)
    if name not in _SCALARS:
        raise _unknown(names[-1], [expressions.emit(item, scope) for item in fields.get("args", ())])
    only(fields, f"{name}()", "funcname", "args", "funcformat")
    arguments = [expressions.emit(item, scope) for item in fields.get("args", ())]
    return _apply(names[-1], _SCALARS[name], arguments)


def _unknown(name: str, arguments: list[Expr]) -> DatabaseError:
    listed = ", ".join(expr.type or "unknown" for expr in arguments)
    return DatabaseError(
        f"function {name}({listed}) does not exist",
        sqlstate="42883",
        hint="No function matches the given name and argument types, or it is not supported on SQLite.",
    )


def _apply(name: str, signatures: tuple[Signature, ...], arguments: list[Expr]) -> Expr:
    for signature in sorted(signatures, key=lambda one: _conversions(one, arguments)):
        converted = _converted(signature, arguments)
        if converted is not None:
            first = converted[0] if converted else None
            result = first.type if signature.result == "same" and first else signature.result
            sql = signature.sql.replace("{*}", ", ".join(item.sql for item in converted))
            for place, item in enumerate(converted):
                sql = sql.replace(f"{{{place}}}", item.sql) if "{" in signature.sql else sql
            return Expr(sql, result, name=name)
    raise _unknown(name, arguments)


def _conversions(signature: Signature, arguments: list[Expr]) -> int:
    """Count the arguments that do not have their type already: the fewer, the better a signature fits."""
    pairs = zip(signature.arguments, arguments, strict=False)
    return sum(target not in ("any", "same", argument.type) for target, argument in pairs)


def _converted(signature: Signature, arguments: list[Expr]) -> list[Expr] | None:
    expected = list(signature.arguments)
    if signature.variadic:
        expected += [expected[-1]] * (len(arguments) - len(expected))
    if len(expected) != len(arguments):
        return None
    result: list[Expr] = []
    for target, argument in zip(expected, arguments, strict=True):
        try:
            result.append(_argument(target, argument, result, as_text=signature.variadic))
        except DatabaseError as error:
            if error.sqlstate != "42804":
                raise
            return None
    return result


def _argument(target: str, argument: Expr, before: list[Expr], *, as_text: bool) -> Expr:
    if target == "any":
        settled = types.settle(argument)
        if as_text and settled.type == "boolean":
            return Expr(f"substr({types.cast(settled, 'text').sql}, 1, 1)", "text")
        return types.cast(settled, "text") if as_text else settled
    if target == "same":
        return types.coerce(argument, before[0].type or "text")
    return types.coerce(argument, target)


def _at_time_zone(fields: Node, scope: Scope) -> Expr:
    zone, moment = (expressions.emit(item, scope) for item in fields["args"])
    if zone.literal is None or zone.literal.upper() not in ("UTC", "GMT", "Z"):
        raise refused("AT TIME ZONE with another zone than UTC")
    moment = types.coerce(moment, TIMESTAMPTZ) if moment.type is None else moment
    if moment.type == TIMESTAMPTZ:
        return types.cast(moment, "timestamp without time zone")._replace(name="timezone")
    return types.cast(moment, TIMESTAMPTZ)._replace(name="timezone")


def _aggregate(name: str, label: str, fields: Node, scope: Scope) -> Expr:
    if "over" in fields and "agg_distinct" in fields:
        raise refused(f"{name}(DISTINCT ...) OVER")
    if name in _WINDOW_ONLY and "over" not in fields:
        raise DatabaseError(f"window function {name} requires an OVER clause", sqlstate="42809")
    if "over" not in fields:
        scope.aggregated = True
        scope.inside += 1
    try:
        return _emit_aggregate(name, label, fields, scope)
    finally:
        if "over" not in fields:
            scope.inside -= 1


def _emit_aggregate(name: str, label: str, fields: Node, scope: Scope) -> Expr:
    if fields.get("agg_star"):
        result = Expr("count(*)", "bigint", name=label)
    else:
        arguments = [expressions.emit(item, scope) for item in fields.get("args", ())]
        _check_order(name, arguments)
        if name in ("min", "max") or fields.get("agg_distinct"):
            arguments = _collate_first(arguments)
        result = _apply(label, (_AGGREGATES.get(name) or _WINDOW_ONLY[name]), arguments)
    result = _decorated(result, fields, scope)
    if "agg_filter" in fields:
        test = expressions.condition(fields["agg_filter"], scope, "FILTER")
        result = result._replace(sql=_after_call(result.sql, f" FILTER (WHERE {test})"))
    if "over" in fields:
        from plugins.database.sqlite.translate.queries.windows import emit_window

        window = emit_window(
            fields["over"]["WindowDef"] if "WindowDef" in fields["over"] else fields["over"], scope
        )
        result = result._replace(sql=_after_call(result.sql, f" OVER {window}"))
    return result


def _check_order(name: str, arguments: list[Expr]) -> None:
    if (
        name in ("min", "max")
        and arguments
        and arguments[0].type in ("boolean", "uuid", "json", "jsonb", "bytea")
    ):
        raise DatabaseError(f"function {name}({arguments[0].type}) does not exist", sqlstate="42883")


def _collate_first(arguments: list[Expr]) -> list[Expr]:
    """Have an aggregate compare its values as their type does."""
    first = [item._replace(sql=types.collated(item)) for item in arguments[:1]]
    return first + arguments[1:]


def _decorated(result: Expr, fields: Node, scope: Scope) -> Expr:
    """Add DISTINCT and ORDER BY inside an aggregate's parentheses."""
    sql = result.sql
    if fields.get("agg_distinct"):
        start = sql.index("(", sql.rindex("pg_numeric(") + 11 if sql.startswith("pg_numeric(") else 0) + 1
        sql = f"{sql[:start]}DISTINCT {sql[start:]}"
    if "agg_order" in fields:
        from plugins.database.sqlite.translate.queries.select import emit_order

        order = emit_order(fields["agg_order"], scope, [])
        end = len(sql) - (2 if sql.startswith("pg_numeric(sum(") else 1)
        sql = f"{sql[:end]} ORDER BY {order}{sql[end:]}"
    return result._replace(sql=sql)


def _after_call(sql: str, clause: str) -> str:
    """Put a clause behind an aggregate's call, inside the conversion that may stand around it."""
    if sql.startswith("pg_numeric(sum("):
        return f"{sql[:-1]}{clause})"
    return sql + clause
