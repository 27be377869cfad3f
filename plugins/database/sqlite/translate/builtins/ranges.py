"""Functions and operators of ranges."""

from __future__ import annotations

from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table
from plugins.database.sqlite.values.ranges import SUBTYPES


def _told(name: str, kind: str, result: str) -> Sig:
    return Sig((kind,), f"pg_range_part('{name}', '{kind}', {{0}})", result)


def _tested(name: str, kind: str) -> Sig:
    return Sig((kind, kind), f"pg_range_test('{name}', '{kind}', {{0}}, {{1}})", "boolean")


def _combined(name: str, kind: str) -> Sig:
    return Sig((kind, kind), f"pg_range_combine('{name}', '{kind}', {{0}}, {{1}})", kind)


FUNCTIONS: Table = {
    **{
        kind: (
            Sig((value, value), f"pg_range_make('{kind}', {{0}}, {{1}}, '[)')", kind),
            Sig((value, value, "text"), f"pg_range_make('{kind}', {{0}}, {{1}}, {{2}})", kind),
        )
        for kind, value in SUBTYPES.items()
    },
    **{end: tuple(_told(end, kind, value) for kind, value in SUBTYPES.items()) for end in ("lower", "upper")},
    **{
        name: tuple(_told(name, kind, "boolean") for kind in SUBTYPES)
        for name in ("isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")
    },
    "range_merge": tuple(_combined("merge", kind) for kind in SUBTYPES),
}

OPERATORS: Table = {
    "@>": tuple(
        one
        for kind, value in SUBTYPES.items()
        for one in (
            _tested("@>", kind),
            Sig((kind, value), f"pg_range_holds('{kind}', {{0}}, {{1}})", "boolean"),
        )
    ),
    "<@": tuple(
        one
        for kind, value in SUBTYPES.items()
        for one in (
            _tested("<@", kind),
            Sig((value, kind), f"pg_range_holds('{kind}', {{1}}, {{0}})", "boolean"),
        )
    ),
    **{
        name: tuple(_tested(name, kind) for kind in SUBTYPES)
        for name in ("&&", "<<", ">>", "&<", "&>", "-|-")
    },
    **{name: tuple(_combined(name, kind) for kind in SUBTYPES) for name in ("+", "*", "-")},
}
