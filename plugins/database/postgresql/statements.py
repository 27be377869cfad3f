"""Statements as libpq takes them: ``:name`` as ``$1``, and what kind of statement it is."""

from __future__ import annotations

from typing import Literal

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database import parser

Kind = Literal["data", "schema"]

_DATA = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


class Statement(msgspec.Struct, frozen=True):
    """One statement: its text, and the names of its parameters in the order of their numbers."""

    text: bytes
    parameters: tuple[str, ...]
    kind: Kind = "data"


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
    kind: Kind = "data" if _DATA.issuperset(node) else "schema"
    return Statement(parsed.source, parsed.parameters, kind)
