"""Functions, operators and aggregates on documents: ``json`` and ``jsonb``."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions.signatures import Signature as Sig
from plugins.database.sqlite.translate.expressions.signatures import Table, as_json
from plugins.database.sqlite.translate.scope import Expr

_BOTH = ("jsonb", "json")
_PATH = "text[]"


def _either(arguments: tuple[str, ...], sql: str, result: str, *, variadic: bool = False) -> tuple[Sig, ...]:
    """Return the same for both types; what takes the text of ``json`` gives one in the normal form."""
    return tuple(
        Sig(tuple(kind if item == "document" else item for item in arguments), sql,
            kind if result == "document" else result, variadic)
        for kind in _BOTH
    )  # fmt: skip


def _for_both(name: str, signatures: tuple[Sig, ...]) -> Table:
    """Name a function's signatures for each type: ``jsonb_typeof`` and ``json_typeof``."""
    return {f"{kind}_{name}": tuple(one for one in signatures if one.arguments[0] == kind) for kind in _BOTH}


FUNCTIONS: Table = {
    **_for_both("typeof", _either(("document",), "pg_json_type({0})", "text")),
    **_for_both("array_length", _either(("document",), "pg_json_length({0})", "integer")),
    **_for_both("strip_nulls", _either(("document",), "pg_json_strip({0})", "document")),
    "jsonb_pretty": (Sig(("jsonb",), "pg_json_pretty({0})", "text"),),
    "jsonb_set": (
        Sig(("jsonb", _PATH, "jsonb"), "pg_json_put({*})", "jsonb"),
        Sig(("jsonb", _PATH, "jsonb", "boolean"), "pg_json_put({*})", "jsonb"),
    ),
    "jsonb_insert": (
        Sig(("jsonb", _PATH, "jsonb"), "pg_json_insert({*})", "jsonb"),
        Sig(("jsonb", _PATH, "jsonb", "boolean"), "pg_json_insert({*})", "jsonb"),
    ),
    "to_jsonb": (
        Sig(("jsonb",), "{0}", "jsonb"),
        Sig(("json",), "pg_jsonb({0})", "jsonb"),
        Sig(("row",), "pg_jsonb({0})", "jsonb"),
        Sig(("as json",), "pg_jsonb(pg_json_only(json_array({0})))", "jsonb"),
    ),
    "to_json": (
        Sig(("json",), "{0}", "json"),
        Sig(("jsonb",), "{0}", "json"),
        Sig(("row",), "{0}", "json"),
        Sig(("as json",), "pg_json_only(json_array({0}))", "json"),
    ),
    "row_to_json": (Sig(("row",), "{0}", "json"),),
    "array_to_json": (Sig(("array",), "{0}", "json"),),
}

OPERATORS: Table = {
    "#>": _either(("document", _PATH), "pg_json_at({0}, {1})", "document"),
    "#>>": _either(("document", _PATH), "pg_json_text_at({0}, {1})", "text"),
    "@>": (Sig(("jsonb", "jsonb"), "pg_json_contains({0}, {1})", "boolean"),),
    "<@": (Sig(("jsonb", "jsonb"), "pg_json_contains({1}, {0})", "boolean"),),
    "?": (Sig(("jsonb", "text"), "pg_json_has({0}, {1})", "boolean"),),
    "?|": (Sig(("jsonb", _PATH), "pg_json_has_any({0}, {1})", "boolean"),),
    "?&": (Sig(("jsonb", _PATH), "pg_json_has_all({0}, {1})", "boolean"),),
    "||": (Sig(("jsonb", "jsonb"), "pg_json_concat({0}, {1})", "jsonb"),),
    "-": (
        Sig(("jsonb", "text"), "pg_json_without_key({0}, {1})", "jsonb"),
        Sig(("jsonb", "integer"), "pg_json_without_element({0}, {1})", "jsonb"),
        Sig(("jsonb", _PATH), "pg_json_without({0}, {1})", "jsonb"),
    ),
    "#-": (Sig(("jsonb", _PATH), "pg_json_without_path({0}, {1})", "jsonb"),),
}

AGGREGATES: Table = {
    "jsonb_agg": (Sig(("as json",), "json_group_array({0})", "jsonb", around="pg_jsonb(pg_json_filled({}))"),),
    "json_agg": (Sig(("as json",), "json_group_array({0})", "json", around="pg_json_filled({})"),),
    "jsonb_object_agg": (
        Sig(("shown", "as json"), "json_group_object(pg_json_key({0}), {1})", "jsonb",
            around="pg_jsonb(pg_json_filled({}))"),
    ),
    "json_object_agg": (
        Sig(("shown", "as json"), "json_group_object(pg_json_key({0}), {1})", "json", around="pg_json_filled({})"),
    ),
}  # fmt: skip


def build_object(name: str, arguments: list[Expr]) -> Expr:
    """Emit ``jsonb_build_object`` or ``json_build_object``."""
    if len(arguments) % 2:
        raise DatabaseError(
            "argument list must have even number of elements",
            sqlstate="22023",
            hint=f"The arguments of {name}() must consist of alternating keys and values.",
        )
    pieces = []
    for place in range(0, len(arguments), 2):
        key = types.cast(types.settle(arguments[place]), "text")
        plain = key.sql if arguments[place].literal is not None else f"pg_json_key({key.sql}, {place + 1})"
        pieces += [plain, as_json(arguments[place + 1]).sql]
    return _built(name, f"json_object({', '.join(pieces)})")


def build_array(name: str, arguments: list[Expr]) -> Expr:
    """Emit ``jsonb_build_array`` or ``json_build_array``."""
    return _built(name, f"json_array({', '.join(as_json(item).sql for item in arguments)})")


def _built(name: str, sql: str) -> Expr:
    if name.startswith("jsonb"):
        return Expr(f"pg_jsonb({sql})", "jsonb", name=name)
    return Expr(sql, "json", name=name)


def extract_path(name: str, arguments: list[Expr]) -> Expr | None:
    """Emit ``jsonb_extract_path`` and its like."""
    kind = "jsonb" if name.startswith("jsonb") else "json"
    if not arguments or arguments[0].type not in (kind, None):
        return None
    document = types.coerce(arguments[0], kind)
    path = f"json_array({', '.join(types.coerce(item, 'text').sql for item in arguments[1:])})"
    if name.endswith("_text"):
        return Expr(f"pg_json_text_at({document.sql}, {path})", "text", name=name)
    return Expr(f"pg_json_at({document.sql}, {path})", kind, name=name)


SPECIAL = {
    **{f"{kind}_build_object": build_object for kind in _BOTH},
    **{f"{kind}_build_array": build_array for kind in _BOTH},
    **{f"{kind}_extract_path{suffix}": extract_path for kind in _BOTH for suffix in ("", "_text")},
}
