"""Texts that follow when a table or a column gets another name: policies, and views that are read as their reader."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Policy, Table
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.sqlite.catalogue.catalogue import apply
from plugins.database.sqlite.catalogue.definitions import Simple, defined
from plugins.database.sqlite.rights.trees import BEFORE, policy_tree
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.mentions import Mentions, Renaming, edited, edits, followed
from plugins.database.sqlite.translate.nodes import Node, kind_of, refused
from plugins.database.sqlite.translate.queries.select import emit_query
from plugins.database.sqlite.translate.schema.rights.policies import reads_of
from plugins.database.sqlite.translate.scope import Item, Scope, table_types


def follow_names(fields: Node, plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the plan of a RENAME or SET SCHEMA with the texts that name what gets another name."""
    renaming = _renaming(fields, plan, catalogue)
    if renaming is None:
        return plan
    after = apply(catalogue, plan.changes)
    changes = {(change.schema, change.name): change for change in plan.changes}
    for key, table in after.tables.items():
        before = renaming.table if key == (renaming.schema, renaming.name) else catalogue.tables[key]
        changed = _policies_followed(before, table, renaming, catalogue)
        if before.definition is not None:
            text = _view_followed(before.definition, renaming, catalogue)
            changed = msgspec.structs.replace(changed, definition=text)
        simple = defined(before).simple
        if simple is not None:
            targets, where = _simple_followed(simple, renaming, catalogue)
            kept = msgspec.structs.replace(defined(changed).simple or simple, targets=targets, where=where)
            changed = msgspec.structs.replace(changed, simple=kept)
        if changed != table:
            changes[key] = Change(*key, changed)
    every = tuple(changes.values())
    _check(apply(catalogue, every), renaming)
    return msgspec.structs.replace(plan, changes=every)


def _renaming(fields: Node, plan: Plan, catalogue: Catalogue) -> Renaming | None:
    if not plan.changes or "relation" not in fields:
        return None
    relation = fields["relation"]
    table = catalogue.table(relation["relname"], relation.get("schemaname", "public"))
    if table is None:
        return None
    if "newschema" in fields:
        return Renaming(table, fields["newschema"], table.name)
    if fields["renameType"] == "OBJECT_COLUMN":
        return Renaming(table, table.schema, table.name, fields["subname"], fields["newname"])
    return (
        Renaming(table, table.schema, fields["newname"]) if fields["renameType"] == "OBJECT_TABLE" else None
    )


def _policies_followed(before: Table, after: Table, renaming: Renaming, catalogue: Catalogue) -> Table:
    policies = tuple(
        msgspec.structs.replace(
            policy,
            using=_policy_followed(policy.using, before, renaming, catalogue),
            check=_policy_followed(policy.check, before, renaming, catalogue),
        )
        for policy in after.policies
    )
    return msgspec.structs.replace(after, policies=policies)


def _policy_followed(text: str | None, table: Table, renaming: Renaming, catalogue: Catalogue) -> str | None:
    if text is None:
        return None
    tree, scope = policy_tree(text), Scope(catalogue, ())
    scope.mentions = Mentions()
    own = Item(table.name, table_types(table), table=table)
    scope.add(own)
    expressions.condition(tree, scope, "POLICY")
    return edited(text.encode(), edits(scope.mentions, renaming, tree, own), len(BEFORE))


def _view_followed(text: str, renaming: Renaming, catalogue: Catalogue) -> str:
    statement = parser.parse(text).statements[0]
    scope = Scope(catalogue, ())
    scope.mentions = Mentions()
    emit_query(kind_of(kind_of(statement)[1]["query"])[1], scope)
    return edited(text.encode(), edits(scope.mentions, renaming, statement, None))


def _simple_followed(
    simple: Simple, renaming: Renaming, catalogue: Catalogue
) -> tuple[dict[str, Node], Node | None]:
    below = catalogue.tables[simple.schema, simple.name]
    scope = Scope(catalogue, ())
    scope.mentions = Mentions()
    scope.add(Item(simple.alias, table_types(below), table=below))
    for node in [*simple.targets.values(), *([] if simple.where is None else [simple.where])]:
        expressions.emit(node, scope)
    tree = {"targets": dict(simple.targets), "where": simple.where}
    after = followed(tree, scope.mentions, renaming)
    return after["targets"], after["where"]


def _check(after: Catalogue, renaming: Renaming) -> None:
    """Refuse the rename where a policy does not follow, as where USING names the column of a join."""
    for table in after.tables.values():
        for policy in table.policies:
            try:
                reads_of(policy, table, after)
            except DatabaseError as error:
                raise _lost(policy, table, renaming) from error


def _lost(policy: Policy, table: Table, renaming: Renaming) -> DatabaseError:
    what = f"{renaming.table.name}.{renaming.old}" if renaming.old is not None else renaming.table.name
    return refused(
        f'RENAME of {what}, which the policy "{policy.name}" on {table.name} reads in a way that cannot follow,',
        hint="Drop the policy before, and create it again afterwards.",
    )
