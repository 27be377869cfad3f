"""TRUNCATE: every row of a table, and with CASCADE of those that reference it."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import Definition, defined
from plugins.database.sqlite.names import engine_name, text_literal
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.nodes import Node, only
from plugins.database.sqlite.translate.schema.dependents import Key, key_of, pointing_at
from plugins.database.sqlite.translate.scope import Scope, file_name


def emit_truncate(fields: Node, scope: Scope) -> Plan:
    """Return the plan of a TRUNCATE."""
    only(fields, "TRUNCATE", "relations", "restart_seqs", "behavior")
    wanted: dict[Key, Definition] = {}
    for item in fields["relations"]:
        table = defined(scope.table(item["RangeVar"]))
        if table.kind != "table":
            raise DatabaseError(f'"{table.name}" is not a table', sqlstate="42809")
        wanted[key_of(table)] = table
        _check(table, scope)
    waiting = list(wanted.values())
    while waiting:
        table = waiting.pop()
        for other, _ in pointing_at(scope.catalogue, table):
            if key_of(other) in wanted:
                continue
            if fields["behavior"] != "DROP_CASCADE":
                raise DatabaseError(
                    "cannot truncate a table referenced in a foreign key constraint",
                    sqlstate="0A000",
                    detail=f'Table "{other.name}" references "{table.name}".',
                    hint=f'Truncate table "{other.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            wanted[key_of(other)] = other
            _check(other, scope)
            waiting.append(other)
    pieces = [f"DELETE FROM {file_name(table)}" for table in _referencing_first(wanted, scope)]
    if fields.get("restart_seqs"):
        names = ", ".join(text_literal(engine_name(*key)) for key in wanted)
        pieces.append(f"DELETE FROM sqlite_sequence WHERE name IN ({names})")
    return Plan("write", "; ".join(pieces), "TRUNCATE")


def _check(table: Definition, scope: Scope) -> None:
    if scope.rights is not None:
        scope.rights.access(table, "truncate")


def _referencing_first(tables: dict[Key, Definition], scope: Scope) -> list[Definition]:
    ordered: list[Definition] = []
    pending = dict(tables)
    while pending:
        free = [
            table
            for table in pending.values()
            if all(key_of(other) not in pending for other, _ in pointing_at(scope.catalogue, table))
        ]
        # Tables that reference one another in a ring have no order; any will do.
        for table in free or list(pending.values())[:1]:
            ordered.append(table)
            del pending[key_of(table)]
    return ordered
