"""Policies' expressions as trees: read, joined, and freed of what a constant decides."""

from __future__ import annotations

import functools

from plugins.database import parser
from plugins.database.sqlite.translate.nodes import Node, kind_of

BEFORE = "SELECT ("
"""What stands before a policy's expression where it is parsed, and counts in the places of its tree."""


@functools.lru_cache(maxsize=1000)
def policy_tree(text: str) -> Node:
    """Return the tree of a policy's expression."""
    statement = parser.parse(f"{BEFORE}{text}\n)").statements[0]
    node: Node = kind_of(statement)[1]["targetList"][0]["ResTarget"]["val"]
    return node


def any_of(trees: list[Node]) -> Node:
    """Return the tree that holds where one of `trees` does."""
    if len(trees) == 1:
        return trees[0]
    return {"BoolExpr": {"boolop": "OR_EXPR", "args": trees}} if trees else _constant(value=False)


def folded(node: Node, *, negated: bool = False) -> Node:
    """Return a tree without the sides of AND and OR that a constant makes idle; the same one where there are none.

    What is not `negated` need not be told apart where it is null or false.
    """
    if "BoolExpr" not in node:
        return node
    word, given = node["BoolExpr"]["boolop"], node["BoolExpr"]["args"]
    negated = negated or word == "NOT_EXPR"
    arguments = [folded(item, negated=negated) for item in given]
    if word == "NOT_EXPR":
        value = _value(arguments[0])
        if value is not None:
            return _constant(value=not value)
    else:
        decides = word == "OR_EXPR"
        values = [_value(item, or_null=not negated) for item in arguments]
        if decides in values:
            return _constant(value=decides)
        arguments = [item for item, value in zip(arguments, values, strict=True) if value is None]
        if not arguments:
            return _constant(value=not decides)
        if len(arguments) == 1:
            return arguments[0]
    if len(arguments) == len(given) and all(
        one is other for one, other in zip(arguments, given, strict=True)
    ):
        return node
    return {"BoolExpr": {"boolop": word, "args": arguments}}


def _value(node: Node, *, or_null: bool = False) -> bool | None:
    constant = node.get("A_Const", {})
    if or_null and constant.get("isnull"):
        return False
    if "boolval" in constant:
        return bool(constant["boolval"].get("boolval"))
    if "NullTest" in node and "A_Const" in node["NullTest"]["arg"]:
        is_null = bool(node["NullTest"]["arg"]["A_Const"].get("isnull"))
        return is_null is (node["NullTest"]["nulltesttype"] == "IS_NULL")
    return _compared(node.get("A_Expr", {}))


def _compared(fields: Node) -> bool | None:
    """Return what a comparison of two numbers, or of two texts for equality, always is."""
    if fields.get("kind") != "AEXPR_OP" or "lexpr" not in fields or len(fields["name"]) > 1:
        return None
    left, right = (_literal(fields[side]) for side in ("lexpr", "rexpr"))
    word = fields["name"][0]["String"]["sval"]
    if isinstance(left, int) and isinstance(right, int):
        outcomes = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    elif isinstance(left, str) and isinstance(right, str):
        outcomes = {}
    else:
        return None
    return {"=": left == right, "<>": left != right, "!=": left != right, **outcomes}.get(word)


def _literal(node: Node) -> int | str | None:
    constant = node.get("A_Const", {})
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    return str(constant["sval"].get("sval", "")) if "sval" in constant else None


def _constant(*, value: bool) -> Node:
    return {"A_Const": {"boolval": {"boolval": value}}}
