"""Functions and operators on dates, times and intervals."""

from __future__ import annotations

from plugins.database.sqlite.translate.signatures import Signature as Sig
from plugins.database.sqlite.translate.signatures import Table

TIMESTAMPTZ = "timestamp with time zone"
TIMESTAMP = "timestamp without time zone"

FUNCTIONS: Table = {
    "now": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "transaction_timestamp": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "statement_timestamp": (Sig((), "pg_now()", TIMESTAMPTZ),),
    "date_trunc": (
        Sig(("text", TIMESTAMPTZ), "pg_date_trunc({0}, {1})", TIMESTAMPTZ),
        Sig(("text", TIMESTAMP), "pg_date_trunc({0}, {1})", TIMESTAMP),
    ),
    "extract": (
        Sig(("text", TIMESTAMPTZ), "pg_extract({0}, {1})", "numeric"),
        Sig(("text", TIMESTAMP), "pg_extract({0}, {1})", "numeric"),
        Sig(("text", "date"), "pg_extract({0}, {1})", "numeric"),
    ),
}
