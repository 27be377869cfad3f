"""What becomes of rights when the tables they are for change: they go with them, or stand in the way."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import refused
from plugins.database.sqlite.translate.schema.grants import first_grants
from plugins.database.sqlite.translate.schema.policies import reads_of

_MOVES = ("AlterObjectSchemaStmt", "RenameStmt")
_OF_TABLES = (*_MOVES, "AlterTableStmt", "CreateStmt", "CreateTableAsStmt", "DropStmt", "ViewStmt")


def follow(kind: str, plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the plan of a statement with what it means for grants and policies."""
    if kind not in _OF_TABLES or not plan.changes:
        return plan
    changes = tuple(_followed(change, kind, catalogue) for change in plan.changes)
    _check_policies(changes, kind, catalogue)
    return msgspec.structs.replace(plan, changes=changes)


def _followed(change: Change, kind: str, catalogue: Catalogue) -> Change:
    table = change.table
    if table is None or kind in _MOVES:
        return change
    before = catalogue.tables.get((change.schema, change.name))
    grants = first_grants(table, catalogue) if before is None else table.grants
    kept = tuple(grant for grant in grants if grant.column is None or grant.column in table.columns)
    return msgspec.structs.replace(change, table=msgspec.structs.replace(table, grants=kept))


def _check_policies(changes: tuple[Change, ...], kind: str, catalogue: Catalogue) -> None:
    """Raise where a policy reads what is gone: its expression would not be understood any more."""
    gone = {key: columns for change in changes for key, columns in _gone(change, catalogue)}
    if not gone:
        return
    for owner in catalogue.tables.values():
        if gone.get((owner.schema, owner.name), 0) is None and kind == "DropStmt":
            continue
        for policy in owner.policies:
            for schema, table, column in reads_of(policy, owner, catalogue):
                columns = gone.get((schema, table), frozenset())
                if columns is None or column in columns:
                    raise _in_use(kind, table, column if columns else None, policy.name, owner)


def _gone(change: Change, catalogue: Catalogue) -> list[tuple[tuple[str, str], frozenset[str] | None]]:
    """Return the columns that a table has no more; None where it is gone itself."""
    before = catalogue.tables.get((change.schema, change.name))
    if before is None:
        return []
    key = (change.schema, change.name)
    if change.table is None:
        return [(key, None)]
    missing = frozenset(before.columns) - frozenset(change.table.columns)
    return [(key, missing)] if missing else []


def _in_use(kind: str, table: str, column: str | None, policy: str, owner: Table) -> DatabaseError:
    what = f"table {table}" if column is None else f"column {column} of table {table}"
    if kind in _MOVES:
        return refused(f'RENAME of {what}, which the policy "{policy}" reads,', hint="Drop the policy first.")
    return DatabaseError(
        f"cannot drop {what} because other objects depend on it",
        sqlstate="2BP01",
        detail=f"policy {policy} on table {owner.name} depends on {what}",
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )
