"""Views that can be written through: which they are, and what of their query that needs."""

from __future__ import annotations

from typing import Any

from kernel.contracts.catalogue import Column
from plugins.database.sqlite.catalogue.definitions import Simple
from plugins.database.sqlite.translate.nodes import Node, kind_of, placeless
from plugins.database.sqlite.translate.queries.select import emit_targets
from plugins.database.sqlite.translate.scope import Scope, relation_name

_FIXED = {
    "distinctClause": "Views containing DISTINCT",
    "groupClause": "Views containing GROUP BY",
    "havingClause": "Views containing HAVING",
    "withClause": "Views containing WITH",
    "limitCount": "Views containing LIMIT or OFFSET",
    "limitOffset": "Views containing LIMIT or OFFSET",
}


def simplified(
    query: Node, columns: dict[str, Column], scope: Scope, check: str | None
) -> tuple[Simple | None, str | None]:
    """Return what a view's query is to those who write through it, or why they cannot, as PostgreSQL says it.

    `scope` is the one that the query was emitted in.
    """
    reason = _reason(query, scope)
    if reason is not None:
        return None, f"{reason} are not automatically updatable."
    ((_, relation),) = query["fromClause"][0].items()
    schema, name = relation_name(relation)
    alias = relation.get("alias", {}).get("aliasname", name)
    nodes = _targets(query["targetList"], scope)
    targets = {column: placeless(node) for column, node in zip(columns, nodes, strict=True)}
    return Simple(schema, name, alias, targets, placeless(query.get("whereClause")), check), None


def _reason(query: Node, scope: Scope) -> str | None:
    if query.get("op", "SETOP_NONE") != "SETOP_NONE":
        return "Views containing UNION, INTERSECT, or EXCEPT"
    for field, reason in _FIXED.items():
        if field in query:
            return reason
    if scope.aggregated:
        return "Views that return aggregate functions"
    if _has_window(query.get("targetList", [])):
        return "Views that return window functions"
    sources = query.get("fromClause", [])
    if len(sources) != 1 or kind_of(sources[0])[0] != "RangeVar":
        return "Views that do not select from a single table or view"
    if scope.items[0].table is None:
        return "Views that do not select from a single table or view"
    scope.spread = []
    emit_targets(query["targetList"], scope)
    return "Views that return set-returning functions" if scope.spread else None


def _has_window(tree: Any) -> bool:
    if isinstance(tree, list):
        return any(map(_has_window, tree))
    if not isinstance(tree, dict):
        return False
    return "over" in tree.get("FuncCall", {}) or any(
        _has_window(value) for key, value in tree.items() if key != "SubLink"
    )


def _targets(listed: list[Node], scope: Scope) -> list[Node]:
    """Return a select list's expressions, the stars spread out."""
    found: list[Node] = []
    for item in listed:
        node = item["ResTarget"]["val"]
        parts = node.get("ColumnRef", {}).get("fields", [{}])
        if "A_Star" in parts[-1]:
            found += [
                {"ColumnRef": {"fields": [{"String": {"sval": name}}]}} for name in scope.items[0].columns
            ]
        else:
            found.append(node)
    return found
