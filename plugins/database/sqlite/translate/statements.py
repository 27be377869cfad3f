"""Statements: a table from the node's kind to the function that makes its plan."""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.rights.idle import without_idle
from plugins.database.sqlite.rights.leaks import leaks
from plugins.database.sqlite.rights.role import UNRESTRICTED, RoleRights
from plugins.database.sqlite.statements import Plan
from plugins.database.sqlite.translate.calling import emit_writing_call
from plugins.database.sqlite.translate.nodes import Node, kind_of, refused
from plugins.database.sqlite.translate.queries.select import emit_query
from plugins.database.sqlite.translate.queries.writing.steps import emit_in_steps, writes_within
from plugins.database.sqlite.translate.queries.writing.truncation import emit_truncate
from plugins.database.sqlite.translate.queries.writing.writes import emit_delete, emit_insert, emit_update
from plugins.database.sqlite.translate.schema.altering.objects import rename_function, rename_type
from plugins.database.sqlite.translate.schema.altering.renaming import rename, set_schema
from plugins.database.sqlite.translate.schema.altering.tables import alter_table
from plugins.database.sqlite.translate.schema.drops import drop
from plugins.database.sqlite.translate.schema.functions import (
    PLPGSQL,
    comment_on_function,
    create_function,
    drop_function,
)
from plugins.database.sqlite.translate.schema.owners import changes_owner, owner, relation_owner
from plugins.database.sqlite.translate.schema.publications import (
    alter_publication,
    create_publication,
    drop_publication,
)
from plugins.database.sqlite.translate.schema.relations import comment, create_extension, create_schema
from plugins.database.sqlite.translate.schema.rights import grants, policies
from plugins.database.sqlite.translate.schema.rights.followers import follow
from plugins.database.sqlite.translate.schema.settings import set_variable
from plugins.database.sqlite.translate.schema.tables.copies import create_table_as
from plugins.database.sqlite.translate.schema.tables.indexes import create_index
from plugins.database.sqlite.translate.schema.tables.tables import create_table
from plugins.database.sqlite.translate.schema.types.domains import (
    alter_domain,
    comment_on_domain,
    create_domain,
    rename_check,
)
from plugins.database.sqlite.translate.schema.types.drops import drop_type
from plugins.database.sqlite.translate.schema.types.enums import alter_enum, create_enum
from plugins.database.sqlite.translate.schema.views.views import create_view
from plugins.database.sqlite.translate.scope import Scope


def emit_statement(node: Node, parsed: Parsed, catalogue: Catalogue, role: str | None) -> Plan:
    """Return the plan of one statement, with the rights of `role` in it unless that is None.

    Raises `DatabaseError` naming the statement where it is refused, or 42501 where the role has not the rights.
    """
    kind, fields = kind_of(node)
    try:
        if kind in _DATA:
            if role is None or role == UNRESTRICTED:
                return emit_data(node, Scope(catalogue, parsed.parameters))
            return _emit_bounded(node, parsed, catalogue, role)
        schema = _SCHEMA.get(kind)
        if schema is None:
            raise refused(*_REFUSED.get(kind, (f"the statement {_tag(kind)}",)))
        if parsed.parameters:
            raise DatabaseError(f"{_tag(kind)} takes no parameters", sqlstate="42P02")
        return follow(kind, fields, schema(fields, parsed, catalogue), catalogue)
    except DatabaseError as error:
        if error.sqlstate == "0A000" and error.detail is None:
            statement = parsed.source.decode().strip()
            error.detail = f"Statement: {statement if len(statement) <= 200 else statement[:200] + '...'}"
        raise


def _emit_bounded(node: Node, parsed: Parsed, catalogue: Catalogue, role: str) -> Plan:
    """Return the plan of a statement on rows with a role's rights in it; raises 42501."""

    def emitted(tree: Node) -> Plan:
        rights = RoleRights(catalogue, role, barrier=leaks(node))
        plan = emit_data(tree, Scope(catalogue, parsed.parameters, rights=rights))
        rights.check()
        return plan

    try:
        return emitted(node)
    except DatabaseError as error:
        lighter = without_idle(node) if error.sqlstate == "42501" else node
        if lighter is node:
            raise
        return emitted(lighter)


def emit_data(node: Node, scope: Scope) -> Plan:
    """Return the plan of a statement on rows."""
    kind, fields = kind_of(node)
    if writes_within(fields):
        return emit_in_steps(kind, fields, scope, _DATA)
    return _DATA[kind](fields, scope)


def _alter(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    if policies.switches_row_security(fields):
        return policies.switch_row_security(fields, parsed, catalogue)
    if changes_owner(fields):
        return relation_owner(fields, parsed, catalogue)
    return alter_table(fields, parsed, catalogue)


def _rename(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    return _RENAMES.get(fields["renameType"], rename)(fields, parsed, catalogue)


_RENAMES = {
    "OBJECT_DOMAIN": rename_type,
    "OBJECT_DOMCONSTRAINT": rename_check,
    "OBJECT_FUNCTION": rename_function,
    "OBJECT_POLICY": policies.rename_policy,
    "OBJECT_TYPE": rename_type,
}


def _select(fields: Node, scope: Scope) -> Plan:
    written = emit_writing_call(fields, scope)
    if written is not None:
        return written
    return Plan("read", emit_query(fields, scope, scope.returned).sql, "SELECT")


def _drop(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    return _DROPS.get(fields["removeType"], drop)(fields, parsed, catalogue)


def _tag(kind: str) -> str:
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in kind.removesuffix("Stmt"))
    return words.strip().upper()


_DATA: dict[str, Callable[[Node, Scope], Plan]] = {
    "SelectStmt": _select,
    "InsertStmt": emit_insert,
    "UpdateStmt": emit_update,
    "DeleteStmt": emit_delete,
    "TruncateStmt": emit_truncate,
}


def _comment(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    return _COMMENTS.get(fields["objtype"], comment)(fields, parsed, catalogue)


_COMMENTS = {"OBJECT_DOMAIN": comment_on_domain, "OBJECT_FUNCTION": comment_on_function}


_DROPS = {
    "OBJECT_DOMAIN": drop_type,
    "OBJECT_FUNCTION": drop_function,
    "OBJECT_POLICY": policies.drop_policy,
    "OBJECT_PUBLICATION": drop_publication,
    "OBJECT_TYPE": drop_type,
}
_REFUSED = {
    "CompositeTypeStmt": ("a composite type", "Write its fields as columns, or keep it as jsonb."),
    "CreateSeqStmt": ("CREATE SEQUENCE", "Number rows with an identity column."),
    "CreateTrigStmt": ("CREATE TRIGGER", PLPGSQL),
    "DoStmt": ("DO", PLPGSQL),
    "MergeStmt": ("MERGE", "Write INSERT ... ON CONFLICT, or UPDATE and INSERT within one transaction."),
    "RefreshMatViewStmt": ("a materialized view", "Use a view, or a table that a job fills."),
    "TransactionStmt": ("BEGIN, COMMIT and their kin within a transaction", "The caller begins and ends it."),
}

_SCHEMA: dict[str, Callable[[Node, Parsed, Catalogue], Plan]] = {
    "AlterDomainStmt": alter_domain,
    "AlterEnumStmt": alter_enum,
    "CreateDomainStmt": create_domain,
    "CreateEnumStmt": create_enum,
    "AlterDefaultPrivilegesStmt": grants.default_privileges,
    "AlterObjectSchemaStmt": set_schema,
    "AlterOwnerStmt": owner,
    "AlterPolicyStmt": policies.alter_policy,
    "AlterPublicationStmt": alter_publication,
    "AlterRoleStmt": grants.alter_role,
    "AlterTableStmt": _alter,
    "CommentStmt": _comment,
    "CreateFunctionStmt": create_function,
    "CreateExtensionStmt": create_extension,
    "CreatePolicyStmt": policies.create_policy,
    "CreatePublicationStmt": create_publication,
    "CreateRoleStmt": grants.create_role,
    "CreateSchemaStmt": create_schema,
    "CreateStmt": create_table,
    "CreateTableAsStmt": create_table_as,
    "DropRoleStmt": grants.drop_role,
    "DropStmt": _drop,
    "GrantRoleStmt": grants.grant_role,
    "GrantStmt": grants.grant,
    "IndexStmt": create_index,
    "RenameStmt": _rename,
    "VariableSetStmt": set_variable,
    "ViewStmt": create_view,
}
