"""Functions, operators and aggregates on arrays."""

from __future__ import annotations

from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.stored import element_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table
from plugins.database.sqlite.translate.scope import Expr

FUNCTIONS: Table = {
    "array_append": (Sig(("array", "wrapped"), "pg_array_append({0}, {1})", "array"),),
    "array_prepend": (Sig(("wrapped", "array"), "pg_array_append({0}, coalesce({1}, '[]'))", "array"),),
    "array_cat": (Sig(("array", "array"), "pg_array_concat({0}, {1})", "array"),),
    "array_remove": (Sig(("array", "wrapped"), "pg_array_remove({0}, {1})", "array"),),
    "array_replace": (Sig(("array", "wrapped", "wrapped"), "pg_array_replace({0}, {1}, {2})", "array"),),
    "array_position": (
        Sig(("array", "wrapped"), "pg_array_position({*})", "integer"),
        Sig(("array", "wrapped", "integer"), "pg_array_position({*})", "integer"),
    ),
    "array_positions": (Sig(("array", "wrapped"), "pg_array_positions({0}, {1})", "integer[]"),),
    "array_length": (Sig(("array", "integer"), "pg_array_length({0}, {1})", "integer"),),
    "array_upper": (Sig(("array", "integer"), "pg_array_length({0}, {1})", "integer"),),
    "array_lower": (Sig(("array", "integer"), "pg_array_lower({0}, {1})", "integer"),),
    "array_ndims": (Sig(("array",), "iif(pg_cardinality({0}) > 0, 1, NULL)", "integer"),),
    "cardinality": (Sig(("array",), "pg_cardinality({0})", "integer"),),
    "trim_array": (Sig(("array", "integer"), "pg_array_trim({0}, {1})", "array"),),
    "string_to_array": (
        Sig(("text", "text"), "pg_split({*})", "text[]"),
        Sig(("text", "text", "text"), "pg_split({*})", "text[]"),
    ),
}

OPERATORS: Table = {
    "@>": (Sig(("array", "array"), "pg_array_contains({0}, {1})", "boolean"),),
    "<@": (Sig(("array", "array"), "pg_array_contains({1}, {0})", "boolean"),),
    "&&": (Sig(("array", "array"), "pg_array_overlaps({0}, {1})", "boolean"),),
    "||": (
        Sig(("array", "array"), "pg_array_concat({0}, {1})", "array"),
        Sig(("array", "wrapped"), "pg_array_append({0}, {1})", "array"),
        Sig(("wrapped", "array"), "pg_array_append({0}, coalesce({1}, '[]'))", "array"),
    ),
}

AGGREGATES: Table = {
    "array_agg": (Sig(("as json",), "json_group_array({0})", "array", around="pg_json_filled({})"),),
}


def to_string(name: str, arguments: list[Expr]) -> Expr | None:
    """Emit ``array_to_string``."""
    element = element_of(arguments[0].type or "") if arguments else None
    if element is None or len(arguments) not in (2, 3):
        return None
    array, *others = arguments
    texts = [types.coerce(item, "text").sql for item in others] + ["NULL"] * (3 - len(arguments))
    return Expr(f"pg_array_join({array.sql}, {', '.join(texts)}, {text_literal(element)})", "text", name=name)


SPECIAL = {"array_to_string": to_string}
