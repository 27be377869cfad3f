"""PostgreSQL's SQL to SQLite's: parsed with PostgreSQL's own grammar, emitted from an allow-list.

A node or a field that no function here knows is a refusal (SQLSTATE 0A000) that names the statement and the
feature; nothing is dropped silently. Names are resolved against the catalogue, so every expression has a
PostgreSQL type, and literals and parameters take the stored form of what they are compared with.
"""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.sqlite.catalogue.kinds import as_kept
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.statements import emit_statement


def translate(text: str, catalogue: Catalogue, role: str | None = None) -> Plan:
    """Return the one statement in `text` as a plan, with the rights of `role` in it unless that is None.

    The types in `catalogue` know what they mean (`TypedCatalogues`).

    Raises `DatabaseError` for no statement, several, or one that is wrong or may not be.
    """
    parsed = parser.parse(text)
    if len(parsed.statements) != 1:
        count = len(parsed.statements)
        message = "an empty statement" if not count else f"{count} statements where one is expected"
        raise DatabaseError(message, sqlstate="42601", hint="Use Transaction.script for several statements.")
    try:
        plan = emit_statement(parsed.statements[0], parsed, catalogue, role)
    except RecursionError:
        raise DatabaseError("stack depth limit exceeded", sqlstate="54001") from None
    if not plan.changes:
        return plan
    return msgspec.structs.replace(plan, changes=tuple(map(as_kept, plan.changes)))
