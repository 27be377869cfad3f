"""Functions that tell who runs a statement: those of the schema ``auth``, and the settings of a request."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.schema.settings import set_config
from plugins.database.sqlite.translate.scope import Expr, Scope

_AUTH = {
    "uid": Expr("pg_uuid(pg_caller('sub'))", "uuid", name="uid"),
    "role": Expr("pg_caller('jwt.role')", "text", name="role"),
    "email": Expr("pg_caller('email')", "text", name="email"),
    "jwt": Expr("pg_jsonb(pg_caller('request.jwt.claims'))", "jsonb", name="jwt"),
}
_SETTINGS = (
    "request.jwt.claims", "request.method", "request.path", "request.headers", "request.cookies", "role",
)  # fmt: skip
_LEFT = ("response.headers", "response.status")
"""What a statement may leave for the answer to its request."""


def emit_caller(names: list[str], fields: Node, scope: Scope) -> Expr | None:
    """Emit a call that asks who runs the statement; None where it is another function."""
    if names[:-1] == ["auth"]:
        found = _AUTH.get(names[-1])
        if found is not None:
            only(fields, f"auth.{names[-1]}()", "funcname", "funcformat")
        return found
    if names[-1] == "current_setting" and names[:-1] in ([], ["pg_catalog"]):
        return _setting(fields)
    if names[-1] == "set_config" and names[:-1] in ([], ["pg_catalog"]):
        return _set_config(fields, scope)
    return None


def _set_config(fields: Node, scope: Scope) -> Expr:
    only(fields, "set_config()", "funcname", "funcformat", "args")
    arguments = fields.get("args", ())
    texts = [_text(argument) for argument in arguments[:2]]
    if len(arguments) != 3 or texts[0] is None:
        raise refused("set_config() of what is not written out")
    name = texts[0].lower()
    if name in _LEFT:
        value = types.coerce(expressions.emit(arguments[1], scope), "text")
        return Expr(f"pg_leave({text_literal(name)}, {value.sql})", "text", name="set_config")
    if texts[1] is None:
        raise refused("set_config() of what is not written out")
    set_config(name, texts[1])
    return Expr(text_literal(texts[1]), "text", name="set_config")


def _setting(fields: Node) -> Expr:
    only(fields, "current_setting()", "funcname", "funcformat", "args")
    name, *rest = fields.get("args", ())
    asked = _text(name)
    if asked is None:
        raise refused("current_setting() of a name that is not written out")
    asked = asked.lower()
    if asked in _SETTINGS:
        return Expr(f"pg_caller({text_literal(asked)})", "text", name="current_setting")
    if len(rest) == 1 and kind_of(rest[0])[1].get("boolval", {}).get("boolval"):
        return Expr("NULL", "text", name="current_setting")
    raise DatabaseError(f'unrecognized configuration parameter "{asked}"', sqlstate="42704")


def _text(node: Node) -> str | None:
    """Return a text that is written out."""
    kind, fields = kind_of(node)
    return str(fields["sval"].get("sval", "")) if kind == "A_Const" and "sval" in fields else None
