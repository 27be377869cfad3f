"""Functions that return rows: each a function of ours that returns a JSON array, which SQLite spreads out."""

from __future__ import annotations

from typing import NamedTuple

from plugins.database.sqlite.translate.builtins.moments import TIMESTAMP, TIMESTAMPTZ
from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig


class Rows(NamedTuple):
    """One function that returns rows: what it takes, and its columns.

    The result of its signatures is the type of its one column, named `named` or as the function is; where there
    are several `columns`, each row is an array of them.
    """

    signatures: tuple[Sig, ...]
    named: str | None = None
    columns: tuple[tuple[str, str], ...] = ()


def _each(function: str, name: str, kind: str, value: str) -> Rows:
    signature = Sig((kind,), f"{function}({{0}}, '{name}')", "record")
    return Rows((signature,), columns=(("key", "text"), ("value", value)))


FUNCTIONS: dict[str, Rows] = {
    "unnest": Rows((Sig(("array",), "{0}", "element"),)),
    "generate_series": Rows((
        Sig(("integer", "integer"), "pg_series({*})", "integer"),
        Sig(("integer", "integer", "integer"), "pg_series({*})", "integer"),
        Sig(("bigint", "bigint"), "pg_series({*})", "bigint"),
        Sig(("bigint", "bigint", "bigint"), "pg_series({*})", "bigint"),
        Sig((TIMESTAMPTZ, TIMESTAMPTZ, "interval"), "pg_moment_series({*})", TIMESTAMPTZ),
        Sig((TIMESTAMP, TIMESTAMP, "interval"), "pg_moment_series({*})", TIMESTAMP),
    )),
    "regexp_split_to_table": Rows((
        Sig(("text", "text"), "pg_regexp_split({*})", "text"),
        Sig(("text", "text", "text"), "pg_regexp_split({*})", "text"),
    )),
    "regexp_matches": Rows((
        Sig(("text", "text"), "pg_regexp_matches({*})", "text[]"),
        Sig(("text", "text", "text"), "pg_regexp_matches({*})", "text[]"),
    )),
    "string_to_table": Rows((
        Sig(("text", "text"), "pg_split({*})", "text"),
        Sig(("text", "text", "text"), "pg_split({*})", "text"),
    )),
}  # fmt: skip
for _kind in ("jsonb", "json"):
    FUNCTIONS |= {
        f"{_kind}_array_elements": Rows((Sig((_kind,), "pg_json_elements({0})", _kind),), "value"),
        f"{_kind}_array_elements_text": Rows((Sig((_kind,), "pg_json_element_texts({0})", "text"),), "value"),
        f"{_kind}_object_keys": Rows((Sig((_kind,), "pg_json_keys({0})", "text"),)),
        f"{_kind}_each": _each("pg_json_members", f"{_kind}_each", _kind, _kind),
        f"{_kind}_each_text": _each("pg_json_member_texts", f"{_kind}_each_text", _kind, "text"),
    }

# Functions whose columns the statement names: what gives their objects' texts as a JSON array.
RECORDS = {
    "jsonb_to_record": "pg_json_object({0})",
    "json_to_record": "pg_json_object({0})",
    "jsonb_to_recordset": "pg_json_elements({0})",
    "json_to_recordset": "pg_json_elements({0})",
}
