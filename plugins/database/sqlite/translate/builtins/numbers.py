"""Functions on numbers."""

from __future__ import annotations

from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table

_DOUBLE = "double precision"

FUNCTIONS: Table = {
    "abs": (
        Sig(("integer",), "pg_int4(abs({0}))", "same"),
        Sig(("bigint",), "abs({0})", "same"),
        Sig(("numeric",), "pg_numeric_abs({0})", "numeric"),
        Sig(("real",), "abs({0})", "real"),
        Sig((_DOUBLE,), "abs({0})", _DOUBLE),
    ),
    "round": (
        Sig((_DOUBLE,), "pg_float_round({0})", _DOUBLE),
        Sig(("numeric",), "pg_numeric_round({0}, 0)", "numeric"),
        Sig(("numeric", "integer"), "pg_numeric_round({0}, {1})", "numeric"),
    ),
    "trunc": (
        Sig((_DOUBLE,), "trunc({0})", _DOUBLE),
        Sig(("numeric",), "pg_numeric_trunc({0}, 0)", "numeric"),
        Sig(("numeric", "integer"), "pg_numeric_trunc({0}, {1})", "numeric"),
    ),
    "ceil": (
        Sig((_DOUBLE,), "ceil({0})", _DOUBLE),
        Sig(("numeric",), "pg_numeric_ceil({0})", "numeric"),
    ),
    "floor": (
        Sig((_DOUBLE,), "floor({0})", _DOUBLE),
        Sig(("numeric",), "pg_numeric_floor({0})", "numeric"),
    ),
    "mod": (
        Sig(("integer", "integer"), "pg_modulo({0}, {1})", "integer"),
        Sig(("bigint", "bigint"), "pg_modulo({0}, {1})", "bigint"),
        Sig(("numeric", "numeric"), "pg_numeric_remainder({0}, {1})", "numeric"),
    ),
    "div": (Sig(("numeric", "numeric"), "pg_numeric_div({0}, {1})", "numeric"),),
    "power": (Sig((_DOUBLE, _DOUBLE), "pg_power({0}, {1})", _DOUBLE),),
    "sign": (
        Sig((_DOUBLE,), "CAST(sign({0}) AS REAL)", _DOUBLE),
        Sig(("numeric",), "pg_numeric_sign({0})", "numeric"),
    ),
    "sqrt": (Sig((_DOUBLE,), "pg_sqrt({0})", _DOUBLE),),
    "cbrt": (Sig((_DOUBLE,), "pg_cbrt({0})", _DOUBLE),),
    "exp": (Sig((_DOUBLE,), "pg_float8(exp({0}))", _DOUBLE),),
    "ln": (Sig((_DOUBLE,), "pg_ln({0})", _DOUBLE),),
    "log": (Sig((_DOUBLE,), "pg_log({0})", _DOUBLE),),
    "pi": (Sig((), "pi()", _DOUBLE),),
    "degrees": (Sig((_DOUBLE,), "degrees({0})", _DOUBLE),),
    "radians": (Sig((_DOUBLE,), "radians({0})", _DOUBLE),),
    "sin": (Sig((_DOUBLE,), "sin({0})", _DOUBLE),),
    "cos": (Sig((_DOUBLE,), "cos({0})", _DOUBLE),),
    "tan": (Sig((_DOUBLE,), "tan({0})", _DOUBLE),),
    "atan": (Sig((_DOUBLE,), "atan({0})", _DOUBLE),),
    "atan2": (Sig((_DOUBLE, _DOUBLE), "atan2({0}, {1})", _DOUBLE),),
    "gcd": (
        Sig(("integer", "integer"), "pg_int4(pg_gcd({0}, {1}))", "integer"),
        Sig(("bigint", "bigint"), "pg_int8(pg_gcd({0}, {1}))", "bigint"),
    ),
    "lcm": (
        Sig(("integer", "integer"), "pg_int4(pg_lcm({0}, {1}))", "integer"),
        Sig(("bigint", "bigint"), "pg_int8(pg_lcm({0}, {1}))", "bigint"),
    ),
    "to_char": (
        Sig(("numeric", "text"), "pg_number_to_char({0}, {1})", "text"),
        Sig((_DOUBLE, "text"), "pg_number_to_char(pg_float_text({0}), {1})", "text"),
    ),
    "random": (Sig((), "pg_random()", _DOUBLE),),
    "gen_random_uuid": (Sig((), "pg_new_uuid()", "uuid"),),
    "uuid_generate_v4": (Sig((), "pg_new_uuid()", "uuid"),),
    "num_nulls": (Sig(("any",), "pg_nulls({*})", "integer", variadic=True),),
    "num_nonnulls": (Sig(("any",), "pg_non_nulls({*})", "integer", variadic=True),),
}

_BITS = {"smallint": 16, "integer": 32, "bigint": 64}

OPERATORS: Table = {
    "&": tuple(Sig((kind, kind), "({0} & {1})", kind) for kind in _BITS),
    "|": tuple(Sig((kind, kind), "({0} | {1})", kind) for kind in _BITS),
    "#": tuple(Sig((kind, kind), "pg_xor({0}, {1})", kind) for kind in _BITS),
    "<<": tuple(
        Sig((kind, "integer"), f"pg_shift({{0}}, {{1}}, {bits})", kind) for kind, bits in _BITS.items()
    ),
    ">>": tuple(
        Sig((kind, "integer"), f"({{0}} >> ({{1}} & {max(bits, 32) - 1}))", kind)
        for kind, bits in _BITS.items()
    ),
}

PREFIXES: Table = {
    "~": tuple(Sig((kind,), "(~{0})", kind) for kind in _BITS),
    "@": FUNCTIONS["abs"],
    "|/": FUNCTIONS["sqrt"],
    "||/": FUNCTIONS["cbrt"],
}
