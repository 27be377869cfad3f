"""Expressions over operands that are put in later, for those who compile statements of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError, Expression
from plugins.database import parser
from plugins.database.sqlite.catalogue.kinds import resolve
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.scope import Expr, Scope

_OPERAND = re.compile(r"\{([a-z]+)\}")


def translate_expression(text: str, operands: Mapping[str, str], catalogue: Catalogue) -> Expression:
    """Return an expression as SQLite's, see `Database.expression`; the types in `catalogue` know what they mean."""
    parsed = parser.parse("select " + _OPERAND.sub(r'"{\1}"', text))
    (target,) = parsed.statements[0]["SelectStmt"]["targetList"]
    scope = Scope(catalogue, ())
    scope.arguments = {
        f"{{{name}}}": Expr(f"{{{name}}}", base_type(resolve(kind, catalogue)))
        for name, kind in operands.items()
    }
    found = types.settle(expressions.emit(target["ResTarget"]["val"], scope))
    if found.type is None:
        raise DatabaseError(f"the type of {text} cannot be told", sqlstate="42P18")
    return Expression(found.sql, found.type)
