"""What a statement does not need, and needs no rights for: PostgreSQL's planner drops it before it looks at grants."""

from __future__ import annotations

from typing import Any

from plugins.database.sqlite.rights.trees import folded
from plugins.database.sqlite.translate.nodes import Node, kind_of

_CONDITIONS = frozenset({"whereClause", "havingClause", "quals"})


def without_idle(tree: Any, *, where: str | None = None) -> Any:
    """Return a statement without the sides of AND and OR that a constant decides, and without WITH queries of no use.

    It is the same one where there are none. `where` is the clause whose whole condition the tree is.
    """
    if isinstance(tree, list):
        items = [without_idle(item) for item in tree]
        return tree if all(map(_same, items, tree)) else items
    if not isinstance(tree, dict):
        return tree
    if "BoolExpr" in tree and not _becomes_join(tree["BoolExpr"], where):
        lighter = folded(tree, negated=where is None)
        if lighter is not tree:
            return without_idle(lighter)
    if (
        "ResTarget" in tree
        and "name" not in tree["ResTarget"]
        and "BoolExpr" in tree["ResTarget"].get("val", {})
    ):
        tree = {"ResTarget": {**tree["ResTarget"], "name": "?column?"}}
    parts = {
        key: without_idle(value, where=key if key in _CONDITIONS else None) for key, value in tree.items()
    }
    if "sortClause" in tree:
        pairs = zip(parts["sortClause"], tree["sortClause"], strict=True)
        parts["sortClause"] = [item for item, before in pairs if item is before or not _is_constant(item)]
    lighter = tree if all(_same(parts[key], tree[key]) for key in tree) else parts
    return _without_unread(lighter) if "withClause" in lighter else lighter


def _is_constant(item: Node) -> bool:
    return "A_Const" in item["SortBy"]["node"]


def _same(one: object, other: object) -> bool:
    return one is other


def _becomes_join(fields: Node, where: str | None) -> bool:
    """Tell whether one of the conditions that must all hold is a query that PostgreSQL has made a join before."""
    return (
        where in ("whereClause", "quals")
        and fields["boolop"] == "AND_EXPR"
        and any(map(_joins, fields["args"]))
    )


def _joins(node: Node) -> bool:
    if "BoolExpr" in node and node["BoolExpr"]["boolop"] == "NOT_EXPR":
        (node,) = node["BoolExpr"]["args"]
        return "SubLink" in node and node["SubLink"]["subLinkType"] == "EXISTS_SUBLINK" and _joins(node)
    fields = node.get("SubLink", {})
    if fields.get("subLinkType") == "EXISTS_SUBLINK":
        return "whereClause" in kind_of(fields["subselect"])[1]
    return bool(fields.get("subLinkType") == "ANY_SUBLINK")


def _without_unread(fields: Node) -> Node:
    """Drop queries of WITH that nothing reads."""
    ctes = fields["withClause"]["ctes"]
    rest = {key: value for key, value in fields.items() if key != "withClause"}
    kept = [
        item
        for place, item in enumerate(ctes)
        if "SelectStmt" not in item["CommonTableExpr"]["ctequery"]
        or _reads(item["CommonTableExpr"]["ctename"], [rest, ctes[:place], ctes[place + 1 :]])
    ]
    if len(kept) == len(ctes):
        return fields
    clause = {**fields["withClause"], "ctes": kept}
    return _without_unread({**rest, "withClause": clause}) if kept else rest


def _reads(name: str, tree: Any) -> bool:
    if isinstance(tree, list):
        return any(_reads(name, item) for item in tree)
    if not isinstance(tree, dict):
        return False
    return tree.get("RangeVar", {}).get("relname") == name or any(
        _reads(name, item) for item in tree.values()
    )
