"""Statements as libpq takes them: ``:name`` as ``$1``, and what kind of statement it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.parser import Node

Kind = Literal["data", "schema", "role"]

_ROLES = frozenset({"CreateRoleStmt", "DropRoleStmt"})
_DATA = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})

# By these a caller would take on another's rights, or leave something behind for whoever gets the connection next:
# settings and the role, statements given as text, locks and messages that are the kernel's own, large objects.
_OF_THE_SESSION = frozenset(
    {"set_config", "pg_notify", "ts_stat", "ts_rewrite", "loread", "lowrite", "setseed"}
)
_OF_THE_SESSION_PREFIXES = ("query_to_xml", "pg_advisory_", "pg_try_advisory_", "lo_")


class Statement(msgspec.Struct, frozen=True):
    """One statement: its text, and the names of its parameters in the order of their numbers.

    `session_function` is one that it calls and no caller may: it would outlast the statement, or change who runs it.
    """

    text: bytes
    parameters: tuple[str, ...]
    kind: Kind = "data"
    session_function: str | None = None


def compiled(text: str) -> Statement:
    """Return a statement that a compiler wrote."""
    source, parameters = parser.number_parameters(text)
    return Statement(source, parameters)


def given(text: str) -> Statement:
    """Return a statement that someone wrote; raises `DatabaseError` (42601) unless `text` holds exactly one."""
    parsed = parser.parse(text)
    if len(parsed.statements) != 1:
        count = len(parsed.statements)
        message = "an empty statement" if not count else f"{count} statements where one is expected"
        raise DatabaseError(message, sqlstate="42601", hint="Use Transaction.script for several statements.")
    (node,) = parsed.statements
    makes_table = "intoClause" in node.get("SelectStmt", {})
    kind: Kind = "role" if _ROLES.issuperset(node) else "schema"
    if _DATA.issuperset(node) and not makes_table:
        kind = "data"
    return Statement(parsed.source, parsed.parameters, kind, next(_session_functions(node), None))


def _session_functions(tree: Node) -> Iterator[str]:
    pending: list[Any] = [tree]  # and no recursion: a statement may be nested deeper than Python is
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            if "funcname" in part:
                *schema, name = (item["String"].get("sval", "") for item in part["funcname"])
                if schema in ([], ["pg_catalog"]) and (
                    name in _OF_THE_SESSION or name.startswith(_OF_THE_SESSION_PREFIXES)
                ):
                    yield name
