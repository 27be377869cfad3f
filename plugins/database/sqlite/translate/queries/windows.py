"""Windows: OVER clauses and the frames they look through."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.scope import Scope

# Bits of a frame's options, from PostgreSQL's parsenodes.h.
_NONDEFAULT, _RANGE, _ROWS, _GROUPS, _BETWEEN = 0x1, 0x2, 0x4, 0x8, 0x10
_STARTS = {0x20: "UNBOUNDED PRECEDING", 0x200: "CURRENT ROW", 0x800: "{} PRECEDING", 0x2000: "{} FOLLOWING"}
_ENDS = {0x100: "UNBOUNDED FOLLOWING", 0x400: "CURRENT ROW", 0x1000: "{} PRECEDING", 0x4000: "{} FOLLOWING"}
_EXCLUDES = {0x8000: "CURRENT ROW", 0x10000: "GROUP", 0x20000: "TIES"}


def emit_window(fields: Node, scope: Scope) -> str:
    """Emit what follows OVER: a window's name or its definition in parentheses."""
    if "name" in fields:
        if fields["name"] not in scope.windows:
            raise DatabaseError(f'window "{fields["name"]}" does not exist', sqlstate="42704")
        return quote(fields["name"])
    return emit_definition(fields, scope)


def emit_definition(fields: Node, scope: Scope) -> str:
    """Emit a window's definition in parentheses."""
    from plugins.database.sqlite.translate.queries.select import emit_order

    only(
        fields, "a window", "name", "refname", "partitionClause", "orderClause", "frameOptions", "startOffset",
        "endOffset",
    )  # fmt: skip
    parts = []
    if "refname" in fields:
        parts.append(quote(fields["refname"]))
    if "partitionClause" in fields:
        keys = [types.collated(expressions.emit(item, scope)) for item in fields["partitionClause"]]
        parts.append(f"PARTITION BY {', '.join(keys)}")
    if "orderClause" in fields:
        parts.append(f"ORDER BY {emit_order(fields['orderClause'], scope, [])}")
    options = fields.get("frameOptions", 0)
    if options & _NONDEFAULT:
        parts.append(_frame(fields, options, scope))
    return f"({' '.join(parts)})"


def _frame(fields: Node, options: int, scope: Scope) -> str:
    unit = "ROWS" if options & _ROWS else "GROUPS" if options & _GROUPS else "RANGE"
    start = _bound(options, _STARTS, fields.get("startOffset"), scope)
    end = _bound(options, _ENDS, fields.get("endOffset"), scope)
    exclude = next((f" EXCLUDE {word}" for bit, word in _EXCLUDES.items() if options & bit), "")
    if unit == "RANGE" and ("startOffset" in fields or "endOffset" in fields):
        raise refused("a window frame of RANGE with an offset")
    return f"{unit} BETWEEN {start} AND {end}{exclude}"


def _bound(options: int, bounds: dict[int, str], offset: Node | None, scope: Scope) -> str:
    for bit, text in bounds.items():
        if options & bit:
            value = types.coerce(expressions.emit(offset, scope), "bigint").sql if offset else ""
            return text.replace("{}", value)
    raise refused("a window frame")
