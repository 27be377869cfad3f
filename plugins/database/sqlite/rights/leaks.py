"""Conditions that could tell of hidden rows: by an error that quotes a value, before a policy has hidden the row.

SQLite moves conditions about as PostgreSQL does, but knows no leakproof functions. What is listed here cannot fail
on a stored value; anything else that looks at columns has tables with policies read behind a barrier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plugins.database.sqlite.translate.nodes import Node

_OPERATORS = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "->", "->>", "||", "~~", "!~~", "~~*", "!~~*"})
_COMPARISONS = frozenset({
    "AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT", "AEXPR_NULLIF",
    "AEXPR_LIKE", "AEXPR_ILIKE",
})  # fmt: skip
_QUIET = frozenset({
    "A_Const", "A_Star", "BoolExpr", "BooleanTest", "CaseExpr", "CaseWhen", "CoalesceExpr", "ColumnRef",
    "CommonTableExpr", "JoinExpr", "List", "NullTest", "ParamRef", "RangeSubselect", "RangeVar", "ResTarget",
    "RowExpr", "SelectStmt", "SortBy", "String", "SubLink", "SQLValueFunction",
})  # fmt: skip
_FUNCTIONS = frozenset({"lower", "upper", "length", "count", "min", "max"})
_OUTPUTS = ("targetList", "sortClause", "groupClause", "returningClause")


def leaks(statement: Node) -> bool:
    """Tell whether a statement looks at columns with anything that may fail before a row is known to be visible.

    What a row's output is made of is looked at after its conditions, unless it is another query's input.
    """
    ((_, fields),) = statement.items()
    for name, value in fields.items():
        if name in _OUTPUTS:
            if any(_may_fail(query) for query in _sublinks(value)):
                return True
        elif name == "selectStmt" and isinstance(value, dict):
            if leaks(value):
                return True
        elif _may_fail(value):
            return True
    return False


def expression_leaks(expression: Node) -> bool:
    """Tell the same of the queries inside a policy's expression; the rest of it is the policy itself."""
    return any(_may_fail(query) for query in _sublinks(expression))


def _may_fail(tree: Any) -> bool:
    if isinstance(tree, list):
        return any(map(_may_fail, tree))
    if not isinstance(tree, dict):
        return False
    for kind, fields in tree.items():
        if (
            isinstance(fields, dict)
            and kind[:1].isupper()
            and not _is_quiet(kind, fields)
            and _columns(fields)
        ):
            return True
        if _may_fail(fields):
            return True
    return False


def _is_quiet(kind: str, fields: Node) -> bool:
    if kind == "A_Expr":
        names = [item["String"].get("sval") for item in fields.get("name", ())]
        plain = fields["kind"] == "AEXPR_OP" and "lexpr" in fields
        return fields["kind"] in _COMPARISONS or (plain and _OPERATORS.issuperset(names[-1:]))
    if kind == "FuncCall":
        return str(fields["funcname"][-1]["String"].get("sval")) in _FUNCTIONS
    if kind == "TypeCast":
        names = fields["typeName"].get("names", [{}])
        return bool(names[-1].get("String", {}).get("sval") == "text")
    return kind in _QUIET


def _columns(tree: Any) -> bool:
    if isinstance(tree, list):
        return any(map(_columns, tree))
    return isinstance(tree, dict) and ("ColumnRef" in tree or any(map(_columns, tree.values())))


def _sublinks(tree: Any) -> Iterator[Node]:
    if isinstance(tree, list):
        for item in tree:
            yield from _sublinks(item)
    elif isinstance(tree, dict):
        for kind, fields in tree.items():
            if kind == "SubLink":
                yield fields
            else:
                yield from _sublinks(fields)


def has_subquery(tree: Any) -> bool:
    """Tell whether an expression holds a query."""
    return next(_sublinks(tree), None) is not None
