"""Reading libpg_query's tree: one kind a node, and no field unread."""

from __future__ import annotations

from typing import Any

from kernel.contracts.database import DatabaseError

Node = dict[str, Any]

# Places in the text, and fields that hold a default on every node of their kind.
_ALWAYS = frozenset({"location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"})


def kind_of(node: Node) -> tuple[str, Node]:
    """Return a wrapped node's kind and its fields."""
    (item,) = node.items()
    return item


def only(fields: Node, feature: str, *allowed: str) -> None:
    """Raise unless `fields` holds nothing but `allowed`; `feature` names the construct in the refusal."""
    for name in fields:
        if name not in allowed and name not in _ALWAYS:
            raise refused(f"{feature} with {name}")


def placeless(value: Any) -> Any:
    """Return a tree without the places in the text: equal for what reads the same, wherever it stands."""
    if isinstance(value, dict):
        return {key: placeless(item) for key, item in value.items() if key != "location"}
    return [placeless(item) for item in value] if isinstance(value, list) else value


def refused(feature: str, hint: str | None = None) -> DatabaseError:
    """Return the refusal of a construct that the emitter does not know."""
    return DatabaseError(f"{feature} is not supported on SQLite", sqlstate="0A000", hint=hint)


def strings(nodes: list[Node]) -> list[str]:
    """Return the texts of a list of String nodes."""
    return [text_of(node) for node in nodes]


def text_of(node: Node) -> str:
    """Return the text of a String node."""
    kind, fields = kind_of(node)
    if kind != "String":
        raise refused(f"{kind} in a name")
    return str(fields.get("sval", ""))
