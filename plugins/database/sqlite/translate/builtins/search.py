"""Functions and operators of full-text search."""

from __future__ import annotations

from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table
from plugins.database.sqlite.values.search.words import DEFAULT


def _of_text(function: str, result: str) -> tuple[Sig, ...]:
    return (
        Sig(("text",), f"{function}('{DEFAULT}', {{0}})", result),
        Sig(("regconfig", "text"), f"{function}({{0}}, {{1}})", result),
    )


FUNCTIONS: Table = {
    "to_tsvector": (
        *_of_text("pg_to_tsvector", "tsvector"),
        *(
            Sig((*given, kind), f"pg_document_to_tsvector({config}, {{{len(given)}}})", "tsvector")
            for kind in ("jsonb", "json")
            for given, config in (((), f"'{DEFAULT}'"), (("regconfig",), "{0}"))
        ),
    ),
    "to_tsquery": _of_text("pg_to_tsquery", "tsquery"),
    "plainto_tsquery": _of_text("pg_plainto_tsquery", "tsquery"),
    "phraseto_tsquery": _of_text("pg_phraseto_tsquery", "tsquery"),
    "websearch_to_tsquery": _of_text("pg_websearch_to_tsquery", "tsquery"),
    "setweight": (Sig(("tsvector", "text"), "pg_tsvector_weighted({0}, {1})", "tsvector"),),
    "strip": (Sig(("tsvector",), "pg_tsvector_stripped({0})", "tsvector"),),
    "length": (Sig(("tsvector",), "pg_tsvector_length({0})", "integer"),),
    "numnode": (Sig(("tsquery",), "pg_tsquery_count({0})", "integer"),),
    "tsquery_phrase": (
        Sig(("tsquery", "tsquery"), "pg_tsquery_joined({0}, {1}, '<')", "tsquery"),
        Sig(("tsquery", "tsquery", "integer"), "pg_tsquery_joined({0}, {1}, '<', {2})", "tsquery"),
    ),
}

OPERATORS: Table = {
    "@@": (
        Sig(("tsvector", "tsquery"), "pg_matches({0}, {1})", "boolean"),
        Sig(("tsquery", "tsvector"), "pg_matches({1}, {0})", "boolean"),
        Sig(("text", "tsquery"), f"pg_matches(pg_to_tsvector('{DEFAULT}', {{0}}), {{1}})", "boolean"),
        Sig(
            ("text", "text"),
            f"pg_matches(pg_to_tsvector('{DEFAULT}', {{0}}), pg_plainto_tsquery('{DEFAULT}', {{1}}))",
            "boolean",
        ),
    ),
    "||": (
        Sig(("tsvector", "tsvector"), "pg_tsvector_concat({0}, {1})", "tsvector"),
        Sig(("tsquery", "tsquery"), "pg_tsquery_joined({0}, {1}, '|')", "tsquery"),
    ),
    "&&": (Sig(("tsquery", "tsquery"), "pg_tsquery_joined({0}, {1}, '&')", "tsquery"),),
    "<->": (Sig(("tsquery", "tsquery"), "pg_tsquery_joined({0}, {1}, '<')", "tsquery"),),
}

PREFIXES: Table = {"!!": (Sig(("tsquery",), "pg_tsquery_negated({0})", "tsquery"),)}
