"""Aggregates, and functions that need a window."""

from __future__ import annotations

from plugins.database.sqlite.translate.builtins import arrays, documents, moments, money
from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table, merged
from plugins.database.sqlite.values.numeric.floats import REGRESSIONS

_DOUBLE = "double precision"
_NUMBERS: Table = {
    "sum": (
        Sig(("smallint",), "sum({0})", "bigint"),
        Sig(("integer",), "sum({0})", "bigint"),
        Sig(("bigint",), "sum({0})", "numeric", around="pg_numeric({})"),
        Sig(("numeric",), "pg_numeric_sum({0})", "numeric"),
        Sig(("real",), "pg_real_sum({0})", "real"),
        Sig((_DOUBLE,), "pg_float_sum({0})", _DOUBLE),
    ),
    "avg": (
        Sig(("bigint",), "pg_numeric_avg({0})", "numeric"),
        Sig(("numeric",), "pg_numeric_avg({0})", "numeric"),
        Sig((_DOUBLE,), "pg_float_avg({0})", _DOUBLE),
    ),
}


def _statistics(name: str) -> tuple[Sig, ...]:
    """Return the signatures of a variance: exact of numbers that are, of floats as they are."""
    around = f"pg_variance({{}}, '{name}')"
    return (
        Sig(("bigint",), "json_group_array({0})", "numeric", around=around),
        Sig(("numeric",), "json_group_array({0})", "numeric", around=around),
        Sig(("double precision",), "json_group_array({0})", "double precision", around=around),
    )


_INTEGERS = ("smallint", "integer", "bigint")
_STATISTICS: Table = {
    **{name: _statistics(name) for name in ("var_pop", "var_samp", "stddev_pop", "stddev_samp")},
    **{
        name: (
            Sig(
                (_DOUBLE, _DOUBLE), f"pg_{name}({{0}}, {{1}})", "bigint" if name == "regr_count" else _DOUBLE
            ),
        )
        for name in REGRESSIONS
    },
    "variance": _statistics("var_samp"),
    "stddev": _statistics("stddev_samp"),
    **{
        f"bit_{word}": tuple(
            Sig((kind,), "json_group_array({0})", kind, around=f"pg_bits({{}}, '{word}')")
            for kind in _INTEGERS
        )
        for word in ("and", "or", "xor")
    },
}
AGGREGATES: Table = {
    **merged(_NUMBERS, moments.AGGREGATES, money.AGGREGATES),
    **_STATISTICS,
    "count": (Sig(("any",), "count({0})", "bigint"),),
    "min": (Sig(("any",), "min({0})", "same"),),
    "max": (Sig(("any",), "max({0})", "same"),),
    "bool_and": (Sig(("boolean",), "min({0})", "boolean"),),
    "every": (Sig(("boolean",), "min({0})", "boolean"),),
    "bool_or": (Sig(("boolean",), "max({0})", "boolean"),),
    **documents.AGGREGATES,
    **arrays.AGGREGATES,
    "string_agg": (Sig(("text", "text"), "group_concat({0}, {1})", "text"),),
}

WINDOW_ONLY: Table = {
    "row_number": (Sig((), "row_number()", "bigint"),),
    "rank": (Sig((), "rank()", "bigint"),),
    "dense_rank": (Sig((), "dense_rank()", "bigint"),),
    "percent_rank": (Sig((), "percent_rank()", "double precision"),),
    "cume_dist": (Sig((), "cume_dist()", "double precision"),),
    "ntile": (Sig(("integer",), "ntile({0})", "integer"),),
    "first_value": (Sig(("any",), "first_value({0})", "same"),),
    "last_value": (Sig(("any",), "last_value({0})", "same"),),
    "lag": (
        Sig(("any",), "lag({0})", "same"),
        Sig(("any", "integer"), "lag({0}, {1})", "same"),
        Sig(("any", "integer", "same"), "lag({0}, {1}, {2})", "same"),
    ),
    "lead": (
        Sig(("any",), "lead({0})", "same"),
        Sig(("any", "integer"), "lead({0}, {1})", "same"),
        Sig(("any", "integer", "same"), "lead({0}, {1}, {2})", "same"),
    ),
    "nth_value": (Sig(("any", "integer"), "nth_value({0}, {1})", "same"),),
}
