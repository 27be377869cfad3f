"""GRANT and REVOKE, roles, and what new tables are granted: kept in the catalogue, nothing in the file's tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from kernel.contracts.catalogue import PUBLIC, STANDARD_ROLES, Catalogue, DefaultGrant, Grant, Role, Table
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.statements import Change, Defaults, Plan, Usage
from plugins.database.sqlite.stored import FORMS, base_type
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.schema.rights.executors import of_all_schemas, on_functions
from plugins.database.sqlite.translate.schema.tables.defaults import makes_own_value
from plugins.database.sqlite.translate.scope import Scope

_TABLE = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
_COLUMN = ("select", "insert", "update", "references")
_SEQUENCE = ("usage", "select", "update")
_SCHEMA = ("usage", "create")
_DEFAULTS: dict[str, tuple[tuple[str, ...], str, Literal["table", "sequence", "function"]]] = {
    "OBJECT_TABLE": (_TABLE, "relation", "table"),
    "OBJECT_SEQUENCE": (_SEQUENCE, "sequence", "sequence"),
    "OBJECT_FUNCTION": (("execute",), "function", "function"),
    "OBJECT_ROUTINE": (("execute",), "function", "function"),
}
_ROUTINES = ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE")
# What is said of a role's log-in says nothing here: nobody logs in to a file.
_LOGIN = frozenset({"canlogin", "password", "connectionlimit", "validUntil", "createdb", "createrole"})


def grant(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a GRANT or REVOKE."""
    only(
        fields, "GRANT", "is_grant", "targtype", "objtype", "objects", "privileges", "grantees", "grant_option",
        "behavior", "grantor",
    )  # fmt: skip
    tag = "GRANT" if fields.get("is_grant") else "REVOKE"
    if fields.get("grant_option") and not fields.get("is_grant"):
        return Plan("schema", "", tag)
    roles = role_names(fields["grantees"], catalogue)
    kind = fields["objtype"]
    if kind == "OBJECT_TABLE":
        changes = _on_tables(fields, roles, catalogue)
    elif kind == "OBJECT_SEQUENCE":
        changes = _on_sequences(fields, roles, catalogue)
    elif kind == "OBJECT_SCHEMA":
        changes = _on_schemas(fields, roles, catalogue)
    elif kind in _ROUTINES:
        _privileges(fields, ("execute",), "function")
        changes = on_functions(fields, roles, catalogue)
    elif kind in ("OBJECT_DOMAIN", "OBJECT_TYPE"):
        changes = _on_types(fields, catalogue)
    else:
        raise refused(f"GRANT on a {kind.removeprefix('OBJECT_').lower()}")
    return Plan("schema", "", tag, tuple(changes))


def role_names(specs: Iterable[Node], catalogue: Catalogue) -> tuple[str, ...]:
    """Return the names of a list of roles; raises 42704 for one that does not exist."""
    names = []
    for item in specs:
        spec = item["RoleSpec"]
        if spec["roletype"] == "ROLESPEC_PUBLIC":
            names.append(PUBLIC)
        elif spec["roletype"] == "ROLESPEC_CSTRING":
            names.append(known_role(spec["rolename"], catalogue).name)
        else:
            raise refused(f"{spec['roletype'].removeprefix('ROLESPEC_')} in place of a role's name")
    return tuple(names)


def known_role(name: str, catalogue: Catalogue) -> Role:
    """Return a role; raises 42704."""
    role = catalogue.roles.get(name)
    if role is None:
        raise DatabaseError(f'role "{name}" does not exist', sqlstate="42704")
    return role


def _privileges(fields: Node, known: tuple[str, ...], what: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return each privilege with the columns it is for; no columns are all of them."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for item in fields.get("privileges", ({"AccessPriv": {}},)):
        privilege = item["AccessPriv"]
        columns = tuple(strings(privilege.get("cols", [])))
        every = _COLUMN if columns else known
        names = (privilege["priv_name"],) if "priv_name" in privilege else every
        for name in names:
            if name not in every:
                raise DatabaseError(f"invalid privilege type {name.upper()} for {what}", sqlstate="0LP01")
            found.append((name, columns))
    return found


def _on_tables(fields: Node, roles: tuple[str, ...], catalogue: Catalogue) -> Iterable[Change]:
    privileges = _privileges(fields, _TABLE, "relation")
    for table in _tables(fields, catalogue):
        for _, columns in privileges:
            for column in columns:
                if column not in table.columns:
                    raise DatabaseError(
                        f'column "{column}" of relation "{table.name}" does not exist',
                        sqlstate="42703",
                        column=column,
                    )
        named = {
            Grant(role, privilege, column)
            for role in roles
            for privilege, columns in privileges
            for column in columns or (None,)
        }
        yield _changed(table, named, given=bool(fields.get("is_grant")))


def _changed(table: Table, named: set[Grant], *, given: bool) -> Change:
    def is_taken(grant: Grant) -> bool:
        # Taking a privilege on a table takes it on each of its columns.
        return grant in named or Grant(grant.role, grant.privilege) in named

    grants = {*table.grants, *named} if given else {one for one in table.grants if not is_taken(one)}
    ordered = tuple(sorted(grants, key=lambda one: (one.role, one.privilege, one.column or "")))
    return Change(table.schema, table.name, msgspec.structs.replace(table, grants=ordered))


def _tables(fields: Node, catalogue: Catalogue) -> list[Table]:
    if fields["targtype"] == "ACL_TARGET_ALL_IN_SCHEMA":
        schemas = [_known_schema(name, catalogue) for name in strings(fields["objects"])]
        return [table for (schema, _), table in catalogue.tables.items() if schema in schemas]
    scope = Scope(catalogue, ())
    return [scope.table(kind_of(item)[1]) for item in fields["objects"]]


def _known_schema(name: str, catalogue: Catalogue) -> str:
    if name not in catalogue.schemas:
        raise DatabaseError(f'schema "{name}" does not exist', sqlstate="3F000", schema=name)
    return name


def _on_sequences(fields: Node, roles: tuple[str, ...], catalogue: Catalogue) -> Iterable[Change]:
    privileges = {name for name, _ in _privileges(fields, _SEQUENCE, "sequence")}
    whole_schema = fields["targtype"] == "ACL_TARGET_ALL_IN_SCHEMA"
    wanted = (
        set(strings(fields["objects"]))
        if whole_schema
        else {_sequence_name(item) for item in fields["objects"]}
    )
    for table in catalogue.tables.values():
        named = set()
        for column in filter(makes_own_value, table.columns.values()):
            name = (table.schema, f"{table.name}_{column.name}_seq")
            if (table.schema if whole_schema else name) in wanted and privileges & {"usage", "update"}:
                named |= {Grant(role, "usage", column.name) for role in roles}
            wanted.discard(name)
        if named:
            yield _changed(table, named, given=bool(fields.get("is_grant")))
    for missing in wanted if not whole_schema else ():
        raise DatabaseError(f'relation "{missing[1]}" does not exist', sqlstate="42P01")


def _sequence_name(item: Node) -> tuple[str, str]:
    name = kind_of(item)[1]
    return name.get("schemaname", "public"), name["relname"]


def _on_schemas(fields: Node, roles: tuple[str, ...], catalogue: Catalogue) -> Iterable[Change]:
    if not any(name == "usage" for name, _ in _privileges(fields, _SCHEMA, "schema")):
        return
    for name in strings(fields["objects"]):
        before = catalogue.usage.get(_known_schema(name, catalogue), frozenset())
        after = before | set(roles) if fields.get("is_grant") else before - set(roles)
        yield Change(name, "", is_schema=True, value=Usage(frozenset(after)))


def _on_types(fields: Node, catalogue: Catalogue) -> Iterable[Change]:
    """Look at grants on types and leave it at that: what they allow is to make tables, and no client does."""
    for item in fields["objects"]:
        names = strings(item["List"]["items"] if "List" in item else item["TypeName"]["names"])
        key = (names[0] if len(names) > 1 else "public", names[-1])
        if key not in catalogue.enums and key not in catalogue.domains and base_type(names[-1]) not in FORMS:
            raise DatabaseError(f'type "{".".join(names)}" does not exist', sqlstate="42704")
    _privileges(fields, ("usage",), "type")
    return ()


def default_privileges(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER DEFAULT PRIVILEGES; everything is made by one role here, whichever is named."""
    only(fields, "ALTER DEFAULT PRIVILEGES", "options", "action")
    action = fields["action"]
    kind = action["objtype"]
    tag = "ALTER DEFAULT PRIVILEGES"
    if kind == "OBJECT_TYPE":
        _privileges(action, ("usage",), "type")
        return Plan("schema", "", tag)
    if kind not in _DEFAULTS:
        raise refused(f"{tag} on {kind.removeprefix('OBJECT_').lower()}s")
    known, what, noun = _DEFAULTS[kind]
    schemas: list[str | None] = []
    for item in fields.get("options", ()):
        option = item["DefElem"]
        if option["defname"] == "schemas":
            schemas += [_known_schema(name, catalogue) for name in strings(option["arg"]["List"]["items"])]
    named = {
        DefaultGrant(role, privilege, noun, schema)
        for role in role_names(action["grantees"], catalogue)
        for privilege, _ in _privileges(action, known, what)
        for schema in schemas or (None,)
    }
    before = set(catalogue.default_grants)
    if noun == "function" and None in (schemas or (None,)):
        before |= of_all_schemas(catalogue)
    after = before | named if action.get("is_grant") else before - named
    ordered = tuple(sorted(after, key=lambda one: (one.role, one.privilege, one.kind, one.schema or "")))
    return Plan("schema", "", tag, (Change("", "", value=Defaults(ordered)),))


def first_grants(table: Table, catalogue: Catalogue) -> tuple[Grant, ...]:
    """Return the grants that a new table or view comes with."""
    found = []
    for default in catalogue.default_grants:
        if default.schema not in (None, table.schema):
            continue
        if default.kind == "table":
            found.append(Grant(default.role, default.privilege))
        elif default.kind == "sequence" and default.privilege in ("usage", "update"):
            numbered = filter(makes_own_value, table.columns.values())
            found += [Grant(default.role, "usage", column.name) for column in numbered]
    return tuple(found)


def create_role(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE ROLE."""
    only(fields, "CREATE ROLE", "stmt_type", "role", "options")
    name = fields["role"]
    if name in catalogue.roles:
        raise DatabaseError(f'role "{name}" already exists', sqlstate="42710")
    if name == PUBLIC or name.startswith("pg_"):
        raise DatabaseError(f'role name "{name}" is reserved', sqlstate="42939")
    role = _with_options(Role(name), fields.get("options", ()), catalogue)
    return Plan("schema", "", "CREATE ROLE", (Change("", name, value=role),))


def alter_role(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER ROLE."""
    only(fields, "ALTER ROLE", "role", "options", "action")
    role = known_role(fields["role"].get("rolename", ""), catalogue)
    changed = _with_options(role, fields.get("options", ()), catalogue)
    return Plan("schema", "", "ALTER ROLE", (Change("", role.name, value=changed),))


def _with_options(role: Role, options: Iterable[Node], catalogue: Catalogue) -> Role:
    for item in options:
        option = item["DefElem"]
        name, argument = option["defname"], option.get("arg", {})
        value = argument.get("Boolean", {}).get("boolval", False)
        if name == "bypassrls":
            role = msgspec.structs.replace(role, bypasses_row_security=value)
        elif name == "addroleto":
            groups = role_names(argument["List"]["items"], catalogue)
            role = msgspec.structs.replace(role, member_of=groups)
        elif not (name in _LOGIN or (name == "inherit" and value) or (name == "superuser" and not value)):
            raise refused(f"a role with {name.upper()}")
    return role


def drop_role(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP ROLE; raises 2BP01 for one that has rights."""
    only(fields, "DROP ROLE", "roles", "missing_ok")
    changes = []
    for item in fields["roles"]:
        name = item["RoleSpec"].get("rolename", "")
        if name not in catalogue.roles and fields.get("missing_ok"):
            continue
        known_role(name, catalogue)
        if name in STANDARD_ROLES or _has_rights(name, catalogue):
            raise DatabaseError(
                f'role "{name}" cannot be dropped because some objects depend on it', sqlstate="2BP01"
            )
        changes.append(Change("", name))
        for role in catalogue.roles.values():
            if name in role.member_of:
                changes.append(_member(role, tuple(other for other in role.member_of if other != name)))
    return Plan("schema", "", "DROP ROLE", tuple(changes))


def _has_rights(name: str, catalogue: Catalogue) -> bool:
    return (
        any(name in roles for roles in catalogue.usage.values())
        or any(grant.role == name for grant in catalogue.default_grants)
        or any(name in one.executors for overloads in catalogue.functions.values() for one in overloads)
        or any(
            any(grant.role == name for grant in table.grants)
            or any(name in policy.roles for policy in table.policies)
            for table in catalogue.tables.values()
        )
    )


def _member(role: Role, groups: tuple[str, ...]) -> Change:
    return Change("", role.name, value=msgspec.structs.replace(role, member_of=groups))


def grant_role(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a GRANT or REVOKE of roles."""
    only(fields, "GRANT", "granted_roles", "grantee_roles", "is_grant", "behavior", "opt", "grantor")
    groups = [known_role(item["AccessPriv"]["priv_name"], catalogue).name for item in fields["granted_roles"]]
    changes = []
    for name in role_names(fields["grantee_roles"], catalogue):
        role = known_role(name, catalogue)
        if fields.get("is_grant"):
            for group in groups:
                if name in catalogue.acting_as(group):
                    raise DatabaseError(f'role "{group}" is a member of role "{name}"', sqlstate="0LP01")
            after = tuple(dict.fromkeys([*role.member_of, *groups]))
        else:
            after = tuple(group for group in role.member_of if group not in groups)
        changes.append(_member(role, after))
    return Plan("schema", "", "GRANT ROLE" if fields.get("is_grant") else "REVOKE ROLE", tuple(changes))
