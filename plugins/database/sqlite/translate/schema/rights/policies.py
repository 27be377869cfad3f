"""Policies and row security: kept in the catalogue, checked when they are made and written into statements later."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.contracts.catalogue import PUBLIC, Catalogue, Policy, Table
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.parser import Parsed
from plugins.database.sqlite.rights.trees import policy_tree
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, strings
from plugins.database.sqlite.translate.schema.rights.grants import role_names
from plugins.database.sqlite.translate.scope import Item, Scope, table_types

_SWITCHES: dict[str, dict[str, Any]] = {
    "AT_EnableRowSecurity": {"row_security": True},
    "AT_DisableRowSecurity": {"row_security": False},
    "AT_ForceRowSecurity": {"forced": True},
    "AT_NoForceRowSecurity": {"forced": False},
}


def switches_row_security(fields: Node) -> bool:
    """Tell whether an ALTER TABLE does nothing but switch row security."""
    return all(item["AlterTableCmd"]["subtype"] in _SWITCHES for item in fields["cmds"])


def switch_row_security(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TABLE that enables, disables or forces row security."""
    only(fields, "ALTER TABLE", "relation", "cmds", "objtype", "missing_ok")
    relation = fields["relation"]
    key = (relation.get("schemaname", "public"), relation["relname"])
    if fields.get("missing_ok") and key not in catalogue.tables:
        return Plan("schema", "", "ALTER TABLE")
    table = _table(relation, catalogue)
    for item in fields["cmds"]:
        table = msgspec.structs.replace(table, **_SWITCHES[item["AlterTableCmd"]["subtype"]])
    return Plan("schema", "", "ALTER TABLE", (Change(table.schema, table.name, table),))


def create_policy(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE POLICY."""
    only(
        fields,
        "CREATE POLICY",
        "policy_name",
        "table",
        "cmd_name",
        "permissive",
        "roles",
        "qual",
        "with_check",
    )
    table = _table(fields["table"], catalogue)
    name = fields["policy_name"]
    if any(policy.name == name for policy in table.policies):
        raise DatabaseError(
            f'policy "{name}" for table "{table.name}" already exists', sqlstate="42710", table=table.name
        )
    policy = Policy(
        name=name,
        command=fields["cmd_name"],
        permissive=bool(fields.get("permissive")),
        roles=_roles(fields, catalogue),
        using=_clause(parsed, "using") if "qual" in fields else None,
        check=_clause(parsed, "check") if "with_check" in fields else None,
    )
    _check_shape(policy)
    reads_of(policy, table, catalogue)
    return _plan(table, "CREATE POLICY", *table.policies, policy)


def alter_policy(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER POLICY; what it does not name stays."""
    only(fields, "ALTER POLICY", "policy_name", "table", "roles", "qual", "with_check")
    table = _table(fields["table"], catalogue)
    policy = _policy(table, fields["policy_name"])
    changed = msgspec.structs.replace(
        policy,
        roles=_roles(fields, catalogue) if "roles" in fields else policy.roles,
        using=_clause(parsed, "using") if "qual" in fields else policy.using,
        check=_clause(parsed, "check") if "with_check" in fields else policy.check,
    )
    _check_shape(changed)
    reads_of(changed, table, catalogue)
    return _plan(table, "ALTER POLICY", *(changed if one is policy else one for one in table.policies))


def rename_policy(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER POLICY ... RENAME TO."""
    table = _table(fields["relation"], catalogue)
    policy, new = _policy(table, fields["subname"]), fields["newname"]
    if any(other.name == new for other in table.policies):
        raise DatabaseError(f'policy "{new}" for table "{table.name}" already exists', sqlstate="42710")
    changed = msgspec.structs.replace(policy, name=new)
    return _plan(table, "ALTER POLICY", *(changed if one is policy else one for one in table.policies))


def drop_policy(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP POLICY."""
    only(fields, "DROP POLICY", "objects", "removeType", "behavior", "missing_ok")
    (item,) = fields["objects"]
    *schema, relation, name = strings(item["List"]["items"])
    if fields.get("missing_ok"):
        found = catalogue.table(relation, *schema)
        if found is None or all(policy.name != name for policy in found.policies):
            return Plan("schema", "", "DROP POLICY")
    table = _table({"relname": relation, **({"schemaname": schema[0]} if schema else {})}, catalogue)
    policy = _policy(table, name)
    return _plan(table, "DROP POLICY", *(one for one in table.policies if one is not policy))


def _plan(table: Table, tag: str, *policies: Policy) -> Plan:
    ordered = tuple(sorted(policies, key=lambda policy: policy.name))
    after = msgspec.structs.replace(table, policies=ordered)
    return Plan("schema", "", tag, (Change(table.schema, table.name, after),))


def _table(relation: Node, catalogue: Catalogue) -> Table:
    table = Scope(catalogue, ()).table(relation)
    if table.kind != "table":
        raise DatabaseError(f'"{table.name}" is not a table', sqlstate="42809", table=table.name)
    return table


def _policy(table: Table, name: str) -> Policy:
    for policy in table.policies:
        if policy.name == name:
            return policy
    raise DatabaseError(f'policy "{name}" for table "{table.name}" does not exist', sqlstate="42704")


def _roles(fields: Node, catalogue: Catalogue) -> tuple[str, ...]:
    names = role_names(fields.get("roles", ()), catalogue)
    return (PUBLIC,) if PUBLIC in names or not names else names


def _check_shape(policy: Policy) -> None:
    if policy.command in ("select", "delete") and policy.check is not None:
        raise DatabaseError("WITH CHECK cannot be applied to SELECT or DELETE", sqlstate="42601")
    if policy.command == "insert" and policy.using is not None:
        raise DatabaseError("only WITH CHECK expression allowed for INSERT", sqlstate="42601")


def reads_of(policy: Policy, table: Table, catalogue: Catalogue) -> set[tuple[str, str, str]]:
    """Return schema, relation and column of all that a policy of `table` reads; the column is empty for a relation.

    Raises `DatabaseError` where its expressions are wrong.
    """
    found: set[tuple[str, str, str]] = set()
    for text in (policy.using, policy.check):
        if text is not None:
            scope = Scope(catalogue, ())
            scope.add(Item(table.name, table_types(table), table=table))
            expressions.condition(policy_tree(text), scope, "POLICY")
            found |= scope.reads
    return found


def _clause(parsed: Parsed, word: str) -> str:
    """Return the text between the parentheses that follow a word of the statement."""
    tokens = parser.tokens(parsed.source)
    words = [parsed.text(token.start, token.end).lower() for token in tokens]
    depth = 0
    start = None
    for place, text in enumerate(words):
        if text == "(":
            if depth == 0 and words[place - 1] == word:
                start = tokens[place].end
            depth += 1
        elif text == ")":
            depth -= 1
            if depth == 0 and start is not None:
                return parsed.text(start, tokens[place].start).strip()
    raise DatabaseError(f"a policy without {word.upper()}", sqlstate="42601")
