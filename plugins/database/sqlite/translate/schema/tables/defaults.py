"""Defaults: the text a column keeps of its own, and the value it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kernel.contracts.catalogue import Catalogue, Column
from plugins.database import parser
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.kinds import DomainType
from plugins.database.sqlite.names import identifier, object_name, text_literal
from plugins.database.sqlite.stored import base_type, fit
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of
from plugins.database.sqlite.translate.scope import Expr, Scope

# Words that end a default's expression (a restricted one, without these at its top level).
_BEFORE = ("default", "=", ":=")
_ENDS = frozenset({
    "not", "null", "constraint", "primary", "unique", "check", "references", "generated", "collate", "deferrable",
    "initially", ",", ")", ";",
})  # fmt: skip


def makes_own_value(column: Column) -> bool:
    """Tell whether a column numbers its rows by itself: an identity or a serial column."""
    return column.identity or (column.default or "").startswith("nextval(")


def serial_default(schema: str, table: str, column: str) -> str:
    """Return the default that PostgreSQL gives a serial column."""
    parts = [identifier(object_name([table, column], "seq"))]
    if schema != "public":
        parts.insert(0, identifier(schema))
    return f"nextval({text_literal('.'.join(parts))}::regclass)"


def default_value(column: Column, catalogue: Catalogue) -> Expr:
    """Return the value that DEFAULT stands for in a statement."""
    default = default_of(column)
    if makes_own_value(column) or default is None:
        return Expr("NULL", base_type(column.type), literal="")
    tree = parser.parse(f"SELECT {default}").statements[0]
    node = kind_of(tree)[1]["targetList"][0]["ResTarget"]["val"]
    expr = types.coerce(expressions.emit(node, Scope(catalogue, ())), column.type, assign=True)
    return expr._replace(sql=fit(column.type, expr.sql))


def default_of(column: Column) -> str | None:
    """Return the default's text: the column's own, or that of its type."""
    if column.default is None and not column.generated and isinstance(column.type, DomainType):
        return column.type.default
    return column.default


def is_null(expression: Node) -> bool:
    """Tell whether a default is NULL, which is none."""
    return bool(expression.get("A_Const", {}).get("isnull"))


def check_text(parsed: Parsed, location: int) -> str:
    """Return the text of the check whose CHECK (or CONSTRAINT) stands at `location`, without its parentheses."""
    found = [token for token in parser.tokens(parsed.source) if token.start >= location]
    depth, start = 0, 0
    for token in found:
        word = parsed.text(token.start, token.end)
        depth += (word == "(") - (word == ")")
        if word == "(" and depth == 1:
            start = token.end
        elif word == ")" and depth == 0:
            return parsed.text(start, token.start).strip()
    raise ValueError(f"no check at {location}")


def default_text(parsed: Parsed, location: int) -> str:
    """Return the text of the default whose DEFAULT stands at `location`."""
    found = [token for token in parser.tokens(parsed.source) if token.start > location]
    depth = 0
    end = found[0].end
    for place, token in enumerate(found):
        word = parsed.text(token.start, token.end).lower()
        if depth == 0 and place and word in _ENDS:
            break
        depth += (word in "([") - (word in ")]")
        end = token.end
    return parsed.text(found[0].start, end)


def altered_default_text(parsed: Parsed, expression: Node) -> str:
    """Return the text of a default by its tree: what follows the last DEFAULT, or ``=``, before `expression`."""
    first = min(_places(expression))
    words = [token for token in parser.tokens(parsed.source) if token.start < first]
    starts = [token.start for token in words if parsed.text(token.start, token.end).lower() in _BEFORE]
    return default_text(parsed, starts[-1])


def _places(tree: Any) -> Iterator[int]:
    if isinstance(tree, list):
        for item in tree:
            yield from _places(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "location":
                yield value
            else:
                yield from _places(value)
