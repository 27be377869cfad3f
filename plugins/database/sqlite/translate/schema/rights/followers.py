"""What becomes of rights when the tables they are for change: they go with them, or stand in the way."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Policy, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node
from plugins.database.sqlite.translate.schema.rights.grants import first_grants
from plugins.database.sqlite.translate.schema.rights.names import follow_names
from plugins.database.sqlite.translate.schema.rights.policies import reads_of

_MOVES = ("AlterObjectSchemaStmt", "RenameStmt")
_OF_TABLES = ("AlterTableStmt", "CreateStmt", "CreateTableAsStmt", "DropStmt", "ViewStmt")


def follow(kind: str, fields: Node, plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the plan of a statement with what it means for grants and policies."""
    if kind in _MOVES:
        return follow_names(fields, plan, catalogue)
    if kind not in _OF_TABLES or not plan.changes:
        return plan
    changes = [_followed(change, catalogue) for change in plan.changes]
    broken = _broken(changes, catalogue)
    cascade = _is_cascade(fields)
    for owner, policy, what in broken:
        if not cascade:
            raise _in_use(what, policy, owner)
    return msgspec.structs.replace(plan, changes=tuple(_without(broken, changes)))


def _is_cascade(fields: Node) -> bool:
    commands = [item["AlterTableCmd"] for item in fields.get("cmds", ())]
    return any(one.get("behavior") == "DROP_CASCADE" for one in (fields, *commands))


def _followed(change: Change, catalogue: Catalogue) -> Change:
    table = change.table
    if table is None:
        return change
    before = catalogue.tables.get((change.schema, change.name))
    grants = first_grants(table, catalogue) if before is None else table.grants
    kept = tuple(grant for grant in grants if grant.column is None or grant.column in table.columns)
    return msgspec.structs.replace(change, table=msgspec.structs.replace(table, grants=kept))


def _broken(changes: list[Change], catalogue: Catalogue) -> list[tuple[Table, Policy, str]]:
    """Return the policies that read what is gone, and what that is; those of a table that goes itself go with it."""
    gone = {key: columns for change in changes for key, columns in _gone(change, catalogue)}
    found = []
    for owner in catalogue.tables.values():
        if not gone or gone.get((owner.schema, owner.name), 0) is None:
            continue
        for policy in owner.policies:
            what = _missing(reads_of(policy, owner, catalogue), gone, catalogue)
            if what is not None:
                found.append((owner, policy, what))
    return found


def _missing(
    reads: set[tuple[str, str, str]], gone: dict[tuple[str, str], frozenset[str] | None], catalogue: Catalogue
) -> str | None:
    for schema, name, column in sorted(reads):
        columns = gone.get((schema, name), frozenset())
        if columns is None or column in columns:
            what = f"{catalogue.tables[schema, name].kind} {name}"
            return what if columns is None else f"column {column} of {what}"
    return None


def _without(broken: list[tuple[Table, Policy, str]], changes: list[Change]) -> list[Change]:
    """Return changes that also drop policies."""
    result = {(change.schema, change.name): change for change in changes}
    for owner, policy, _ in broken:
        key = (owner.schema, owner.name)
        table = result[key].table if key in result else owner
        if table is not None:
            kept = tuple(one for one in table.policies if one.name != policy.name)
            changed = Change(*key, msgspec.structs.replace(table, policies=kept))
            result[key] = msgspec.structs.replace(result.get(key, changed), table=changed.table)
    return list(result.values())


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


def _in_use(what: str, policy: Policy, owner: Table) -> DatabaseError:
    return DatabaseError(
        f"cannot drop {what} because other objects depend on it",
        sqlstate="2BP01",
        detail=f"policy {policy.name} on table {owner.name} depends on {what}",
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )
