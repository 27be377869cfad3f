"""Function calls: PostgreSQL's functions that SQLite has or that our connections carry."""

from __future__ import annotations

from plugins.database.sqlite.translate.builtins import (
    aggregates,
    arrays,
    documents,
    kinds,
    moments,
    numbers,
    ranges,
    rows,
    search,
    texts,
)
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.expressions.aggregates import (
    ORDERED_SETS,
    emit_aggregate,
    emit_ordered_set,
)
from plugins.database.sqlite.translate.expressions.callers import emit_caller
from plugins.database.sqlite.translate.expressions.signatures import apply, merged, missing
from plugins.database.sqlite.translate.nodes import Node, only, refused, strings
from plugins.database.sqlite.translate.queries import populating
from plugins.database.sqlite.translate.scope import Expr, Scope
from plugins.database.sqlite.translate.sequences import emit_sequence

_FUNCTIONS = merged(
    texts.FUNCTIONS,
    numbers.FUNCTIONS,
    moments.FUNCTIONS,
    documents.FUNCTIONS,
    arrays.FUNCTIONS,
    search.FUNCTIONS,
    ranges.FUNCTIONS,
)
_SPECIAL = {**documents.SPECIAL, **arrays.SPECIAL, **moments.SPECIAL, **kinds.SPECIAL}
_SYNONYMS = {"ceiling": "ceil", "pow": "power"}
# Supabase installs extensions in a schema of that name, and calls their functions by it.
_SCHEMAS = ("pg_catalog", "extensions")


def emit_call(fields: Node, scope: Scope) -> Expr:
    """Emit a call of a scalar, aggregate or window function."""
    names = strings(fields["funcname"])
    asked = emit_caller(names, fields, scope)
    if asked is not None:
        return asked
    if len(names) > 1 and names[0] not in _SCHEMAS:
        return _kept(fields, scope) or _no_such(names)
    label = names[-1]
    name = _SYNONYMS.get(label, label)
    if name in ORDERED_SETS and fields.get("agg_within_group"):
        only(
            fields,
            f"{name}()",
            "funcname",
            "args",
            "funcformat",
            "agg_filter",
            "agg_order",
            "agg_within_group",
            "over",
        )
        return emit_ordered_set(name, fields, scope)
    only(
        fields, f"{name}()", "funcname", "args", "funcformat", "agg_star", "agg_distinct", "agg_filter",
        "agg_order", "over", "func_variadic",
    )  # fmt: skip
    counted = emit_sequence(name, fields, scope)
    if counted is not None:
        return counted
    if name in (*populating.ONE, *populating.MANY):
        return populating.emit_record(name, fields, scope)
    if name in rows.FUNCTIONS:
        from plugins.database.sqlite.translate.queries.rows import emit_in_list

        return emit_in_list(name, fields, scope)
    if name in aggregates.AGGREGATES or name in aggregates.WINDOW_ONLY:
        return emit_aggregate(name, label, fields, scope)
    kept = _kept(fields, scope) if name not in _SPECIAL and name not in _FUNCTIONS else None
    if kept is not None:
        return kept
    only(fields, f"{name}()", "funcname", "args", "funcformat")
    arguments = [expressions.emit(item, scope) for item in fields.get("args", ())]
    special = _SPECIAL.get(name)
    result = special(name, arguments) if special else apply(label, _FUNCTIONS.get(name, ()), arguments)
    if result is None:
        raise missing(label, arguments)
    return result


def _kept(fields: Node, scope: Scope) -> Expr | None:
    from plugins.database.sqlite.translate.routines import emit_value, find

    call = find(fields, scope)
    return emit_value(call, scope) if call is not None else None


def _no_such(names: list[str]) -> Expr:
    raise refused(f"the function {'.'.join(names)}")
