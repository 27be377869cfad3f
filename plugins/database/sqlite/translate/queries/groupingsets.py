"""GROUPING SETS, ROLLUP and CUBE: a query for each set of keys, the results put together.

A key that is not in a set is NULL in what is selected by it, and GROUPING() tells that it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, placeless, refused
from plugins.database.sqlite.translate.scope import Expr, Scope

Keys = tuple[Node, ...]
# PostgreSQL's own bound.
_MOST_SETS = 4096


def has_sets(fields: Node) -> bool:
    """Tell whether a SELECT groups by more than one set of keys."""
    return any("GroupingSet" in item for item in fields.get("groupClause", ()))


def sets_of(fields: Node) -> list[Keys]:
    """Return the sets of keys that a SELECT groups by; raises 54001 for too many."""
    found: list[Keys] = [()]
    for item in fields["groupClause"]:
        found = [(*before, *keys) for before, keys in product(found, _sets(item))]
        if len(found) > _MOST_SETS:
            raise DatabaseError(f"too many grouping sets present (maximum {_MOST_SETS})", sqlstate="54001")
    return found


def _sets(node: Node) -> list[Keys]:
    kind, fields = kind_of(node)
    if kind != "GroupingSet":
        return [_keys(node)]
    only(fields, "GROUPING SETS", "kind", "content")
    content = fields.get("content", [])
    match fields["kind"]:
        case "GROUPING_SET_EMPTY":
            return [()]
        case "GROUPING_SET_ROLLUP":
            return [_joined(content[:length]) for length in range(len(content), -1, -1)]
        case "GROUPING_SET_CUBE":
            lengths = range(len(content), -1, -1)
            return [_joined(chosen) for length in lengths for chosen in combinations(content, length)]
        case _:
            return [keys for item in content for keys in _sets(item)]


def _keys(node: Node) -> Keys:
    kind, fields = kind_of(node)
    return tuple(fields.get("args", ())) if kind == "RowExpr" else (node,)


def _joined(nodes: Sequence[Node]) -> Keys:
    return tuple(key for node in nodes for key in _keys(node))


def all_keys(sets: Sequence[Keys]) -> list[Node]:
    """Return every key of the sets once."""
    found: list[Node] = []
    for key in (key for keys in sets for key in keys):
        if all(placeless(key) != placeless(other) for other in found):
            found.append(key)
    return found


def emit_grouping_call(fields: Node, scope: Scope) -> Expr:
    """Emit GROUPING(key, ...): a bit for each key, which is set where the key is not in the set."""
    only(fields, "GROUPING", "args")
    scope.inside += 1
    keys = [expressions.emit(item, scope).sql for item in fields["args"]]
    scope.inside -= 1
    if scope.keys and not set(keys) <= scope.keys:
        message = "arguments to GROUPING must be grouping expressions of the associated query level"
        raise DatabaseError(message, sqlstate="42803")
    bits = sum((key in scope.absent) << place for place, key in enumerate(reversed(keys)))
    return Expr(str(bits), "integer", name="grouping")


def check_alone(fields: Node) -> None:
    """Raise 0A000 for what does not go with several sets of keys."""
    if _holds(fields.get("targetList", ()), "over") or "windowClause" in fields:
        raise refused("a window function over GROUPING SETS, ROLLUP or CUBE", hint="Put the query into FROM.")
    if any(fields.get("distinctClause", ())):
        raise refused("DISTINCT ON with GROUPING SETS, ROLLUP or CUBE")


def _holds(tree: object, name: str) -> bool:
    if isinstance(tree, (list, tuple)):
        return any(_holds(item, name) for item in tree)
    return isinstance(tree, dict) and (name in tree or any(_holds(item, name) for item in tree.values()))


def together(
    parts: Sequence[str], outputs: Sequence[Expr], sorts: Sequence[tuple[Expr, str]], distinct: str
) -> tuple[str, str]:
    """Return the query of all parts, whose columns are o0, o1, ... and whose sort keys k0, k1, ..., and its order."""
    listed = ", ".join(
        f"{types.collated(item._replace(sql=f'o{place}')) if distinct else f'o{place}'} AS {quote(item.name)}"
        for place, item in enumerate(outputs)
    )
    order = ", ".join(
        types.ordered(expr._replace(sql=f"k{place}"), "ORDER BY") + direction
        for place, (expr, direction) in enumerate(sorts)
    )
    return f"SELECT {distinct}{listed} FROM ({' UNION ALL '.join(parts)})", order
