"""Operators and aggregates of money."""

from __future__ import annotations

from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table

_DOUBLE = "double precision"

OPERATORS: Table = {
    "+": (Sig(("money", "money"), "pg_money_add({0}, {1})", "money"),),
    "-": (Sig(("money", "money"), "pg_money_subtract({0}, {1})", "money"),),
    # A literal without a type is a double; of whole numbers, the product is exact.
    "*": tuple(
        sig
        for number in (_DOUBLE, "bigint", "integer", "smallint")
        for sig in (
            Sig(("money", number), "pg_money_multiply({0}, {1})", "money"),
            Sig((number, "money"), "pg_money_multiply({1}, {0})", "money"),
        )
    ),
    "/": (
        Sig(("money", "money"), "pg_money_ratio({0}, {1})", _DOUBLE),
        Sig(("money", "bigint"), "pg_money_divide({0}, {1})", "money"),
        Sig(("money", _DOUBLE), "pg_money_divide({0}, {1})", "money"),
    ),
}

AGGREGATES: Table = {
    "sum": (Sig(("money",), "pg_numeric_sum(pg_money_number({0}))", "money", around="pg_money_total({})"),),
}
