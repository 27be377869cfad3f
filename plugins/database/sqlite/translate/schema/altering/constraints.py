"""ALTER TABLE's commands on constraints."""

from __future__ import annotations

from kernel.contracts.catalogue import ForeignKey, Index
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.translate.nodes import Node, only
from plugins.database.sqlite.translate.schema.altering.alteration import Alteration
from plugins.database.sqlite.translate.schema.altering.columns import check_violation
from plugins.database.sqlite.translate.schema.dependents import Reason
from plugins.database.sqlite.translate.schema.tables.constraints import constraint_names
from plugins.database.sqlite.translate.schema.tables.emission import (
    check_label,
    check_sql,
    index_name,
    index_sql,
    stands_beside,
)


def add_constraint(command: Node, alteration: Alteration) -> None:
    """ADD CONSTRAINT."""
    only(command, "ADD CONSTRAINT", "subtype", "def", "behavior")
    fields = command["def"]["Constraint"]
    before = alteration.table
    builder = alteration.builder()
    builder.add_constraint(fields)
    alteration.table = after = builder.finish()
    kind = fields["contype"]
    if kind == "CONSTR_CHECK":
        check = after.checks[-1]
        violation = check_violation(check.name, alteration)
        alteration.in_place(f"ADD {check_sql(check, after, alteration.catalogue)}", violation=violation)
    elif kind == "CONSTR_UNIQUE":
        new = [index for index in after.indexes if index not in before.indexes]
        alteration.also(*(index_sql(index, after, alteration.catalogue) for index in new))
    else:
        alteration.anew()
    if kind == "CONSTR_FOREIGN":
        alteration.check_references()


def drop_constraint(command: Node, alteration: Alteration) -> None:
    """DROP CONSTRAINT."""
    only(command, "DROP CONSTRAINT", "subtype", "name", "behavior", "missing_ok")
    name, table = command["name"], alteration.table
    if name not in constraint_names(table):
        if command.get("missing_ok"):
            return
        raise missing_constraint(name, table.name)
    reason = Reason(f"constraint {name} on table {table.name}", command["behavior"] == "DROP_CASCADE")
    if any(check.name == name for check in table.checks):
        alteration.change(checks=tuple(check for check in table.checks if check.name != name))
        alteration.in_place(f"DROP CONSTRAINT {check_label(name, alteration.before)}")
    elif name == table.primary or name in table.unique:
        _drop_key(next(index for index in table.indexes if index.name == name), reason, alteration)
    else:
        alteration.change(
            foreign_keys=tuple(key for key in table.foreign_keys if key.name != name),
            deferred=tuple(other for other in table.deferred if other != name),
        )
        alteration.anew()


def _drop_key(index: Index, reason: Reason, alteration: Alteration) -> None:
    table = alteration.table
    others = [other for other in table.indexes if other.unique and other is not index and not other.partial]
    columns = set(index.columns)

    def needs(key: ForeignKey) -> bool:
        return set(key.referenced_columns) == columns and all(
            set(other.columns) != columns for other in others
        )

    alteration.dropped.foreign_keys(table, needs, reason)
    own = [
        key
        for key in table.foreign_keys
        if (key.referenced_schema, key.referenced_table) == (table.schema, table.name) and needs(key)
    ]
    for key in own:
        reason.check(f"constraint {key.name} on table {table.name}")
    if own:
        alteration.change(foreign_keys=tuple(key for key in table.foreign_keys if key not in own))
    alteration.change(
        indexes=tuple(other for other in table.indexes if other is not index),
        unique=tuple(name for name in table.unique if name != index.name),
    )
    if index.name == table.primary:
        alteration.change(primary=None, primary_key=())
    if stands_beside(index, table) and not own:
        alteration.also(f"DROP INDEX {index_name(table, index.name)}")
    else:
        alteration.anew()


def validate_constraint(command: Node, alteration: Alteration) -> None:
    """VALIDATE CONSTRAINT: every constraint here holds for all rows from its beginning."""
    name, table = command["name"], alteration.table
    if name not in constraint_names(table):
        raise missing_constraint(name, table.name)
    if name == table.primary or name in table.unique:
        raise DatabaseError(
            f'constraint "{name}" of relation "{table.name}" is not a foreign key or check constraint',
            sqlstate="42809",
        )


def missing_constraint(name: str, table: str) -> DatabaseError:
    """Return the error for a constraint that does not exist."""
    return DatabaseError(f'constraint "{name}" of relation "{table}" does not exist', sqlstate="42704")
