"""What is called without parentheses: ``current_user``, ``current_timestamp`` and their kin."""

from __future__ import annotations

from plugins.database.rights import OWNER
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.scope import Expr, Scope

_VALUE_FUNCTIONS = {
    "SVFOP_CURRENT_TIMESTAMP": Expr("pg_now()", "timestamp with time zone", name="current_timestamp"),
    "SVFOP_LOCALTIMESTAMP": Expr(
        "replace(pg_now(), '+00:00', '')", "timestamp without time zone", name="localtimestamp"
    ),
    "SVFOP_CURRENT_USER": Expr("pg_caller('role')", "name", name="current_user"),
    "SVFOP_CURRENT_ROLE": Expr("pg_caller('role')", "name", name="current_role"),
    "SVFOP_USER": Expr("pg_caller('role')", "name", name="user"),
    "SVFOP_LOCALTIME": Expr(
        "replace(substr(pg_now(), 12), '+00:00', '')", "time without time zone", name="localtime"
    ),
    "SVFOP_CURRENT_DATE": Expr("substr(pg_now(), 1, 10)", "date", name="current_date"),
}


def emit_value_function(fields: Node, scope: Scope) -> Expr:
    """Emit one."""
    only(fields, "a value function", "op", "typmod")
    found = _VALUE_FUNCTIONS.get(fields["op"])
    if found is None or fields.get("typmod", -1) != -1:
        raise refused(f"the function {fields['op'].removeprefix('SVFOP_').lower()}")
    if scope.as_owner and found.type == "name":
        return found._replace(sql=text_literal(OWNER))
    return found
