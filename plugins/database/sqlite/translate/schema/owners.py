"""OWNER TO: everything here belongs to the one who migrates, under the names that PostgreSQL's tools write for it."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue
from plugins.database.parser import Parsed
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.nodes import Node, refused
from plugins.database.sqlite.translate.schema.relations import existing, is_missing

_OWNERS = frozenset({"postgres", "supabase_admin", "pg_database_owner"})
_THEMSELVES = frozenset({"ROLESPEC_CURRENT_USER", "ROLESPEC_CURRENT_ROLE", "ROLESPEC_SESSION_USER"})


def changes_owner(fields: Node) -> bool:
    """Tell whether an ALTER TABLE or ALTER VIEW gives it another owner and does nothing else."""
    return [item["AlterTableCmd"]["subtype"] for item in fields["cmds"]] == ["AT_ChangeOwner"]


def relation_owner(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TABLE ... OWNER TO."""
    if not is_missing(fields, catalogue):
        existing(fields["relation"], catalogue)
    _check(fields["cmds"][0]["AlterTableCmd"]["newowner"])
    return Plan("schema", "", "ALTER TABLE")


def owner(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER ... OWNER TO of what is no relation."""
    _check(fields["newowner"])
    return Plan("schema", "", f"ALTER {fields['objectType'].removeprefix('OBJECT_')}")


def _check(role: Node) -> None:
    if role["roletype"] not in _THEMSELVES and role.get("rolename") not in _OWNERS:
        raise refused(
            f"OWNER TO {role.get('rolename', role['roletype'])}", hint="Everything belongs to postgres."
        )
