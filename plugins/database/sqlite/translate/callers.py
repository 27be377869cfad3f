"""Functions that tell who runs a statement: those of the schema ``auth``, and the settings of a request."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.schema.settings import set_config
from plugins.database.sqlite.translate.scope import Expr

_AUTH = {
    "uid": Expr("pg_uuid(pg_caller('sub'))", "uuid", name="uid"),
    "role": Expr("pg_caller('jwt.role')", "text", name="role"),
    "email": Expr("pg_caller('email')", "text", name="email"),
    "jwt": Expr("pg_jsonb(pg_caller('request.jwt.claims'))", "jsonb", name="jwt"),
}
_SETTINGS = ("request.jwt.claims", "role")


def emit_caller(names: list[str], fields: Node) -> Expr | None:
    """Emit a call that asks who runs the statement; None where it is another function."""
    if names[:-1] == ["auth"]:
        found = _AUTH.get(names[-1])
        if found is not None:
            only(fields, f"auth.{names[-1]}()", "funcname", "funcformat")
        return found
    if names[-1] == "current_setting" and names[:-1] in ([], ["pg_catalog"]):
        return _setting(fields)
    if names[-1] == "set_config" and names[:-1] in ([], ["pg_catalog"]):
        return _set_config(fields)
    return None


def _set_config(fields: Node) -> Expr:
    only(fields, "set_config()", "funcname", "funcformat", "args")
    values = [kind_of(item)[1].get("sval") for item in fields.get("args", ())]
    texts = [str(one.get("sval", "")) for one in values[:2] if one is not None]
    if len(values) != 3 or len(texts) != 2:
        raise refused("set_config() of what is not written out")
    name, value = texts
    set_config(name.lower(), value)
    return Expr(text_literal(value), "text", name="set_config")


def _setting(fields: Node) -> Expr:
    only(fields, "current_setting()", "funcname", "funcformat", "args")
    name, *rest = (kind_of(item) for item in fields.get("args", ()))
    if name[0] != "A_Const" or "sval" not in name[1]:
        raise refused("current_setting() of a name that is not written out")
    asked = str(name[1]["sval"].get("sval", "")).lower()
    if asked in _SETTINGS:
        return Expr(f"pg_caller({text_literal(asked)})", "text", name="current_setting")
    if len(rest) == 1 and rest[0] == ("A_Const", rest[0][1]) and rest[0][1].get("boolval", {}).get("boolval"):
        return Expr("NULL", "text", name="current_setting")
    raise DatabaseError(f'unrecognized configuration parameter "{asked}"', sqlstate="42704")
