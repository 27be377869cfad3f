"""Functions and operators on text."""

from __future__ import annotations

from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table

FUNCTIONS: Table = {
    "lower": (Sig(("text",), "pg_lower({0})", "text"),),
    "upper": (Sig(("text",), "pg_upper({0})", "text"),),
    "initcap": (Sig(("text",), "pg_initcap({0})", "text"),),
    "length": (Sig(("text",), "length({0})", "integer"), Sig(("bytea",), "length({0})", "integer")),
    "char_length": (Sig(("text",), "length({0})", "integer"),),
    "character_length": (Sig(("text",), "length({0})", "integer"),),
    "octet_length": (
        Sig(("text",), "octet_length({0})", "integer"),
        Sig(("bytea",), "octet_length({0})", "integer"),
    ),
    "btrim": (Sig(("text",), "trim({0})", "text"), Sig(("text", "text"), "trim({0}, {1})", "text")),
    "ltrim": (Sig(("text",), "ltrim({0})", "text"), Sig(("text", "text"), "ltrim({0}, {1})", "text")),
    "rtrim": (Sig(("text",), "rtrim({0})", "text"), Sig(("text", "text"), "rtrim({0}, {1})", "text")),
    "substr": (
        Sig(("text", "integer"), "pg_substring({0}, {1})", "text"),
        Sig(("text", "integer", "integer"), "pg_substring({0}, {1}, {2})", "text"),
    ),
    "substring": (
        Sig(("text", "integer"), "pg_substring({0}, {1})", "text"),
        Sig(("text", "integer", "integer"), "pg_substring({0}, {1}, {2})", "text"),
        Sig(("text", "text"), "pg_regexp_part({0}, {1})", "text"),
    ),
    "strpos": (Sig(("text", "text"), "instr({0}, {1})", "integer"),),
    "position": (Sig(("text", "text"), "instr({0}, {1})", "integer"),),
    "starts_with": (Sig(("text", "text"), "(instr({0}, {1}) = 1)", "boolean"),),
    "replace": (Sig(("text", "text", "text"), "pg_replace({0}, {1}, {2})", "text"),),
    "translate": (Sig(("text", "text", "text"), "pg_translate({0}, {1}, {2})", "text"),),
    "overlay": (
        Sig(("text", "text", "integer"), "pg_overlay({*})", "text"),
        Sig(("text", "text", "integer", "integer"), "pg_overlay({*})", "text"),
    ),
    "left": (Sig(("text", "integer"), "pg_left({0}, {1})", "text"),),
    "right": (Sig(("text", "integer"), "pg_right({0}, {1})", "text"),),
    "lpad": (
        Sig(("text", "integer"), "pg_lpad({*})", "text"),
        Sig(("text", "integer", "text"), "pg_lpad({*})", "text"),
    ),
    "rpad": (
        Sig(("text", "integer"), "pg_rpad({*})", "text"),
        Sig(("text", "integer", "text"), "pg_rpad({*})", "text"),
    ),
    "reverse": (Sig(("text",), "pg_reverse({0})", "text"),),
    "repeat": (Sig(("text", "integer"), "pg_repeat({0}, {1})", "text"),),
    "split_part": (Sig(("text", "text", "integer"), "pg_split_part({0}, {1}, {2})", "text"),),
    "ascii": (Sig(("text",), "pg_ascii({0})", "integer"),),
    "chr": (Sig(("integer",), "pg_chr({0})", "text"),),
    "md5": (Sig(("text",), "pg_md5({0})", "text"), Sig(("bytea",), "pg_md5({0})", "text")),
    "sha224": (Sig(("bytea",), "pg_digest({0}, 'sha224')", "bytea"),),
    "sha256": (Sig(("bytea",), "pg_digest({0}, 'sha256')", "bytea"),),
    "sha384": (Sig(("bytea",), "pg_digest({0}, 'sha384')", "bytea"),),
    "sha512": (Sig(("bytea",), "pg_digest({0}, 'sha512')", "bytea"),),
    "digest": (
        Sig(("text", "text"), "pg_digest({0}, {1})", "bytea"),
        Sig(("bytea", "text"), "pg_digest({0}, {1})", "bytea"),
    ),
    "encode": (Sig(("bytea", "text"), "pg_encode({0}, {1})", "text"),),
    "decode": (Sig(("text", "text"), "pg_decode({0}, {1})", "bytea"),),
    "convert_to": (Sig(("text", "text"), "pg_convert_to({0}, {1})", "bytea"),),
    "convert_from": (Sig(("bytea", "text"), "pg_convert_from({0}, {1})", "text"),),
    "to_hex": (
        Sig(("integer",), "pg_to_hex({0}, 32)", "text"),
        Sig(("bigint",), "pg_to_hex({0}, 64)", "text"),
    ),
    "quote_literal": (Sig(("text",), "pg_quote_literal({0})", "text"),),
    "quote_ident": (Sig(("text",), "pg_quote_ident({0})", "text"),),
    "quote_nullable": (Sig(("text",), "coalesce(pg_quote_literal({0}), 'NULL')", "text"),),
    "concat": (Sig(("shown",), "concat({*})", "text", variadic=True),),
    "concat_ws": (Sig(("text", "shown"), "pg_concat_ws({*})", "text", variadic=True),),
    "format": (
        Sig(("text",), "pg_format({0})", "text"),
        Sig(("text", "shown"), "pg_format({*})", "text", variadic=True),
    ),
    "regexp_replace": (
        Sig(("text", "text", "text"), "pg_regexp_replace({*})", "text"),
        Sig(("text", "text", "text", "text"), "pg_regexp_replace({*})", "text"),
    ),
    "regexp_match": (
        Sig(("text", "text"), "pg_regexp_match({*})", "text[]"),
        Sig(("text", "text", "text"), "pg_regexp_match({*})", "text[]"),
    ),
    "regexp_like": (
        Sig(("text", "text"), "pg_regexp_like({*})", "boolean"),
        Sig(("text", "text", "text"), "pg_regexp_like({*})", "boolean"),
    ),
    "regexp_count": (Sig(("text", "text"), "pg_regexp_count({*})", "integer"),),
    "regexp_substr": (Sig(("text", "text"), "pg_regexp_whole({*})", "text"),),
    "regexp_split_to_array": (
        Sig(("text", "text"), "pg_regexp_split({*})", "text[]"),
        Sig(("text", "text", "text"), "pg_regexp_split({*})", "text[]"),
    ),
    "similar_to_escape": (
        Sig(("text",), "pg_similar({*})", "text"),
        Sig(("text", "text"), "pg_similar({*})", "text"),
    ),
}

PATTERNS = frozenset({"~", "~*", "!~", "!~*"})
OPERATORS: Table = {
    "~": (Sig(("text", "text"), "pg_regexp_like({0}, {1})", "boolean"),),
    "~*": (Sig(("text", "text"), "pg_regexp_like({0}, {1}, 'i')", "boolean"),),
    "!~": (Sig(("text", "text"), "(NOT pg_regexp_like({0}, {1}))", "boolean"),),
    "!~*": (Sig(("text", "text"), "(NOT pg_regexp_like({0}, {1}, 'i'))", "boolean"),),
    "^@": (Sig(("text", "text"), "(instr({0}, {1}) = 1)", "boolean"),),
}
