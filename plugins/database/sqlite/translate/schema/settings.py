"""SET: what changes nothing here is accepted, so that scripts written by PostgreSQL's tools run."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue
from plugins.database.parser import Parsed
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, refused

# Each with the values under which a session is as it is here; None is any value.
_HARMLESS: dict[str, frozenset[str] | None] = {
    "search_path": frozenset({"public", "$user", "extensions", "pg_catalog"}),
    "client_encoding": frozenset({"utf8", "utf-8", "unicode"}),
    "standard_conforming_strings": frozenset({"on", "true"}),
    "timezone": frozenset({"utc", "gmt", "0"}),
    "row_security": frozenset({"on", "off", "true", "false"}),
    "check_function_bodies": None,
    "client_min_messages": None,
    "default_table_access_method": frozenset({"heap"}),
    "default_tablespace": frozenset({""}),
    "idle_in_transaction_session_timeout": None,
    "lock_timeout": None,
    "statement_timeout": None,
    "xmloption": None,
}


def set_config(name: str, value: str) -> None:
    """Accept another value of a setting where that leaves the session as it is; refuse all others."""
    allowed = _HARMLESS.get(name, frozenset())
    values = {part.strip().strip('"').lower() for part in value.split(",")} - {""}
    if allowed is not None and not values <= allowed:
        raise refused(f"set_config() of {name} to {value}")


def set_variable(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Accept a SET that leaves the session as it is; refuse all others."""
    name = fields.get("name", "")
    if fields["kind"] == "VAR_RESET_ALL":
        return Plan("schema", "", "RESET")
    if fields["kind"] in ("VAR_RESET", "VAR_SET_DEFAULT") and name in _HARMLESS:
        return Plan("schema", "", "SET")
    allowed = _HARMLESS.get(name, frozenset())
    values = {_text(node).lower() for node in fields.get("args", ())}
    if fields["kind"] != "VAR_SET_VALUE" or (allowed is not None and not values <= allowed):
        hint = "Write names with their schema." if name == "search_path" else None
        raise refused(f"SET {name} to {', '.join(sorted(values)) or 'that'}", hint=hint)
    return Plan("schema", "", "SET")


def _text(node: Node) -> str:
    kind, fields = kind_of(node)
    if kind != "A_Const":
        raise refused(f"SET to {kind}")
    for value in ("sval", "fval"):
        if value in fields:
            return str(fields[value].get(value, ""))
    if "boolval" in fields:
        return "true" if fields["boolval"].get("boolval") else "false"
    return str(fields.get("ival", {}).get("ival", 0))
