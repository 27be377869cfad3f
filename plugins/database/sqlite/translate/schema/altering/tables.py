"""ALTER TABLE: in place where SQLite can, and by writing the table anew where it cannot."""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.catalogue import Catalogue
from plugins.database.parser import Parsed
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.schema.altering import columns, constraints
from plugins.database.sqlite.translate.schema.altering.alteration import Alteration
from plugins.database.sqlite.translate.schema.dependents import partitions_of
from plugins.database.sqlite.translate.schema.relations import existing, is_missing
from plugins.database.sqlite.translate.schema.tables.partitions import with_partitions

_WITH_OLD_ROWS = ("f", "d")


def _replica_identity(command: Node, alteration: Alteration) -> None:
    """Take FULL and DEFAULT as they come: the change log has old rows whole."""
    if command["def"]["ReplicaIdentityStmt"]["identity_type"] not in _WITH_OLD_ROWS:
        raise refused("a replica identity other than FULL and DEFAULT")


# Each with the pass that PostgreSQL takes it in, whatever the order in which they are written.
_COMMANDS: dict[str, tuple[int, Callable[[Node, Alteration], None]]] = {
    "AT_DropColumn": (0, columns.drop_column),
    "AT_DropConstraint": (0, constraints.drop_constraint),
    "AT_DropNotNull": (0, columns.set_not_null),
    "AT_DropIdentity": (0, columns.drop_identity),
    "AT_DropExpression": (0, columns.drop_expression),
    "AT_AlterColumnType": (1, columns.set_type),
    "AT_AddColumn": (4, columns.add_column),
    "AT_SetIdentity": (6, columns.set_identity),
    "AT_SetNotNull": (6, columns.set_not_null),
    "AT_AddConstraint": (8, constraints.add_constraint),
    "AT_AddIdentity": (9, columns.add_identity),
    "AT_ColumnDefault": (9, columns.set_default),
    "AT_ValidateConstraint": (10, constraints.validate_constraint),
    "AT_ReplicaIdentity": (11, _replica_identity),
}
_DROP_DEFAULT = 0


def alter_table(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TABLE."""
    only(fields, "ALTER TABLE", "relation", "cmds", "objtype", "missing_ok")
    if is_missing(fields, catalogue):
        return Plan("schema", "", "ALTER TABLE")
    table = existing(fields["relation"], catalogue)
    if table.kind != "table" or fields["objtype"] != "OBJECT_TABLE":
        raise refused("ALTER of a view")
    alteration = Alteration(table, parsed, catalogue)
    commands = [item["AlterTableCmd"] for item in fields["cmds"]]
    for command in commands:
        if command["subtype"] == "AT_AlterColumnType":
            if partitions_of(catalogue, table):
                raise refused("ALTER TYPE of a partitioned table's column")
            columns.prepare_type(command, alteration)
    for command in sorted(commands, key=_pass):
        _COMMANDS[command["subtype"]][1](command, alteration)
    return with_partitions(alteration.plan(), table, catalogue)


def _pass(command: Node) -> int:
    kind = command["subtype"]
    if kind not in _COMMANDS:
        raise refused(f"ALTER TABLE with {kind.removeprefix('AT_')}")
    if kind == "AT_ColumnDefault" and "def" not in command:
        return _DROP_DEFAULT
    return _COMMANDS[kind][0]
