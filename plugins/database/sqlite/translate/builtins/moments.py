"""Functions and operators on dates, times and intervals."""

from __future__ import annotations

from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table
from plugins.database.sqlite.translate.scope import Expr

TIMESTAMPTZ = "timestamp with time zone"
TIMESTAMP = "timestamp without time zone"
_TIME = "time without time zone"
_TIMETZ = "time with time zone"
_DOUBLE = "double precision"
_MOMENTS = (TIMESTAMPTZ, TIMESTAMP, "date", "interval", _TIME, _TIMETZ)


def _fields(result: str, around: str) -> tuple[Sig, ...]:
    """Return the signatures of a function that takes a field out of any kind of moment."""
    functions = {"interval": "pg_interval_field", _TIME: "pg_time_field", _TIMETZ: "pg_timetz_field"}
    return tuple(
        Sig(
            ("text", kind), around.replace("{}", f"{functions.get(kind, 'pg_extract')}({{0}}, {{1}})"), result
        )
        for kind in _MOMENTS
    )


def _span(kind: str, start: str, end: str, end_type: str) -> str:
    """Return both ends of a stretch of time, the second of which may be given by its length."""
    if end_type != "interval":
        return f"{start}, {end}"
    return (
        f"{start}, pg_time_add({start}, {end}, 1)"
        if kind == _TIME
        else f"{start}, pg_moment_add({start}, {end})"
    )


FUNCTIONS: Table = {
    "now": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "transaction_timestamp": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "statement_timestamp": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "clock_timestamp": (Sig((), "pg_clock()", TIMESTAMPTZ),),
    "date_trunc": (
        Sig(("text", TIMESTAMPTZ), "pg_date_trunc({0}, {1})", TIMESTAMPTZ),
        Sig(("text", TIMESTAMP), "pg_date_trunc({0}, {1})", TIMESTAMP),
        Sig(("text", "interval"), "pg_interval_trunc({0}, {1})", "interval"),
        Sig(("text", TIMESTAMPTZ, "text"), "pg_date_trunc_in({*})", TIMESTAMPTZ),
    ),
    "extract": _fields("numeric", "{}"),
    "date_part": _fields(_DOUBLE, "pg_float8({})"),
    "timezone": (
        Sig(("text", TIMESTAMPTZ), "pg_to_zone({0}, {1})", TIMESTAMP),
        Sig(("text", TIMESTAMP), "pg_from_zone({0}, {1})", TIMESTAMPTZ),
        Sig(("text", _TIMETZ), "pg_timetz_in({0}, {1})", _TIMETZ),
    ),
    "age": (
        Sig((TIMESTAMPTZ, TIMESTAMPTZ), "pg_age({0}, {1})", "interval"),
        Sig((TIMESTAMP, TIMESTAMP), "pg_age({0}, {1})", "interval"),
        Sig((TIMESTAMPTZ,), "pg_age(substr(pg_now(), 1, 10) || 'T00:00:00+00:00', {0})", "interval"),
        Sig((TIMESTAMP,), "pg_age(substr(pg_now(), 1, 10) || 'T00:00:00', {0})", "interval"),
    ),
    "overlaps": tuple(
        Sig(
            (kind, first, kind, second),
            f"pg_overlaps({_span(kind, '{0}', '{1}', first)}, {_span(kind, '{2}', '{3}', second)})",
            "boolean",
        )
        for kind in (TIMESTAMPTZ, TIMESTAMP, _TIME)
        for first in (kind, "interval")
        for second in (kind, "interval")
    ),
    "justify_days": (Sig(("interval",), "pg_justify_days({0})", "interval"),),
    "justify_hours": (Sig(("interval",), "pg_justify_hours({0})", "interval"),),
    "justify_interval": (Sig(("interval",), "pg_justify_interval({0})", "interval"),),
    "isfinite": tuple(
        Sig((kind,), "pg_is_finite({0})", "boolean") for kind in (TIMESTAMPTZ, TIMESTAMP, "date")
    ),
    "to_timestamp": (
        Sig((_DOUBLE,), "pg_from_epoch({0})", TIMESTAMPTZ),
        Sig(("text", "text"), "pg_to_timestamp({0}, {1})", TIMESTAMPTZ),
    ),
    "to_date": (Sig(("text", "text"), "pg_to_date({0}, {1})", "date"),),
    "to_char": (
        Sig((TIMESTAMPTZ, "text"), "pg_to_char({0}, {1})", "text"),
        Sig((TIMESTAMP, "text"), "pg_to_char({0}, {1})", "text"),
    ),
    "make_date": (Sig(("integer", "integer", "integer"), "pg_make_date({*})", "date"),),
    "make_time": (Sig(("integer", "integer", _DOUBLE), "pg_make_time({*})", _TIME),),
    "make_timestamp": (Sig((*["integer"] * 5, _DOUBLE), "pg_make_timestamp({*})", TIMESTAMP),),
    "make_timestamptz": (
        Sig((*["integer"] * 5, _DOUBLE), "(pg_make_timestamp({*}) || '+00:00')", TIMESTAMPTZ),
        Sig(
            (*["integer"] * 5, _DOUBLE, "text"),
            "pg_from_zone({6}, pg_make_timestamp({0}, {1}, {2}, {3}, {4}, {5}))",
            TIMESTAMPTZ,
        ),
    ),
}

OPERATORS: Table = {
    "+": (
        Sig((TIMESTAMPTZ, "interval"), "pg_moment_add({0}, {1})", TIMESTAMPTZ),
        Sig((TIMESTAMP, "interval"), "pg_moment_add({0}, {1})", TIMESTAMP),
        Sig(("date", "interval"), "pg_moment_add({0} || 'T00:00:00', {1})", TIMESTAMP),
        Sig(("interval", TIMESTAMPTZ), "pg_moment_add({1}, {0})", TIMESTAMPTZ),
        Sig(("interval", TIMESTAMP), "pg_moment_add({1}, {0})", TIMESTAMP),
        Sig(("interval", "date"), "pg_moment_add({1} || 'T00:00:00', {0})", TIMESTAMP),
        Sig(("date", "integer"), "pg_date_add({0}, {1})", "date"),
        Sig(("integer", "date"), "pg_date_add({1}, {0})", "date"),
        Sig(("date", _TIME), "pg_moment_add({0} || 'T00:00:00', pg_time_interval({1}))", TIMESTAMP),
        Sig((_TIME, "interval"), "pg_time_add({0}, {1}, 1)", _TIME),
        Sig(("interval", _TIME), "pg_time_add({1}, {0}, 1)", _TIME),
        Sig((_TIMETZ, "interval"), "pg_timetz_add({0}, {1}, 1)", _TIMETZ),
        Sig(("interval", _TIMETZ), "pg_timetz_add({1}, {0}, 1)", _TIMETZ),
        Sig(("date", _TIMETZ), "pg_timetz_moment({0}, {1})", TIMESTAMPTZ),
        Sig((_TIMETZ, "date"), "pg_timetz_moment({1}, {0})", TIMESTAMPTZ),
        Sig(("interval", "interval"), "pg_interval_add({0}, {1})", "interval"),
    ),
    "-": (
        Sig((TIMESTAMPTZ, TIMESTAMPTZ), "pg_moment_difference({0}, {1})", "interval"),
        Sig((TIMESTAMP, TIMESTAMP), "pg_moment_difference({0}, {1})", "interval"),
        Sig(("date", "date"), "pg_date_difference({0}, {1})", "integer"),
        Sig((_TIME, _TIME), "pg_time_difference({0}, {1})", "interval"),
        Sig(("interval", "interval"), "pg_interval_subtract({0}, {1})", "interval"),
        Sig((TIMESTAMPTZ, "interval"), "pg_moment_subtract({0}, {1})", TIMESTAMPTZ),
        Sig((TIMESTAMP, "interval"), "pg_moment_subtract({0}, {1})", TIMESTAMP),
        Sig(("date", "interval"), "pg_moment_subtract({0} || 'T00:00:00', {1})", TIMESTAMP),
        Sig(("date", "integer"), "pg_date_add({0}, -({1}))", "date"),
        Sig((_TIME, "interval"), "pg_time_add({0}, {1}, -1)", _TIME),
        Sig((_TIMETZ, "interval"), "pg_timetz_add({0}, {1}, -1)", _TIMETZ),
    ),
    "*": (
        Sig(("interval", _DOUBLE), "pg_interval_multiply({0}, {1})", "interval"),
        Sig((_DOUBLE, "interval"), "pg_interval_multiply({1}, {0})", "interval"),
    ),
    "/": (Sig(("interval", _DOUBLE), "pg_interval_divide({0}, {1})", "interval"),),
}

AGGREGATES: Table = {
    "sum": (Sig(("interval",), "pg_interval_sum({0})", "interval"),),
    "avg": (Sig(("interval",), "pg_interval_avg({0})", "interval"),),
}

_PARTS = ("years", "months", "weeks", "days", "hours", "mins", "secs")


def make_interval(name: str, arguments: list[Expr]) -> Expr | None:
    """Emit ``make_interval``, whose arguments may be named: ``make_interval(days => 10)``."""
    given: dict[str, Expr] = {}
    for place, argument in enumerate(arguments):
        part = argument.argument or (_PARTS[place] if place < len(_PARTS) else "")
        if part not in _PARTS or part in given:
            return None
        given[part] = types.coerce(argument, _DOUBLE if part == "secs" else "integer")
    values = ", ".join(given[part].sql if part in given else "0" for part in _PARTS)
    return Expr(f"pg_make_interval({values})", "interval", name=name)


SPECIAL = {"make_interval": make_interval}
