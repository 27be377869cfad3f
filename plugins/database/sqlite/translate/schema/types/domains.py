"""CREATE DOMAIN and ALTER DOMAIN."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import (
    VALUE,
    Definition,
    DomainSource,
    definitions,
)
from plugins.database.sqlite.catalogue.kinds import DomainType, resolve
from plugins.database.sqlite.names import object_name, quote, text_literal
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.schema.tables.building import check_collation
from plugins.database.sqlite.translate.schema.tables.defaults import (
    altered_default_text,
    check_text,
    default_text,
    is_null,
)
from plugins.database.sqlite.translate.schema.tables.rebuilding import rebuild
from plugins.database.sqlite.translate.schema.types.enums import missing_type, new_type, type_key
from plugins.database.sqlite.translate.scope import Expr, Scope, check_name, file_name

_NOT_POSSIBLE = {"CONSTR_PRIMARY": "primary key", "CONSTR_UNIQUE": "unique", "CONSTR_FOREIGN": "foreign key"}


def create_domain(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE DOMAIN."""
    only(fields, "CREATE DOMAIN", "domainname", "typeName", "collClause", "constraints")
    check_collation(fields)
    schema, name = new_type(fields["domainname"], catalogue)
    declared = types.type_name(fields["typeName"], catalogue)
    if declared in types.SERIALS:
        raise DatabaseError(f'type "{declared}" does not exist', sqlstate="42704")
    domain = DomainSource(schema, name, str(declared))
    constraints = [item["Constraint"] for item in fields.get("constraints", ())]
    kinds = [one["contype"] for one in constraints]
    if "CONSTR_NULL" in kinds and "CONSTR_NOTNULL" in kinds:
        raise DatabaseError("conflicting NULL/NOT NULL constraints", sqlstate="42601")
    if kinds.count("CONSTR_DEFAULT") > 1:
        raise DatabaseError("multiple default expressions", sqlstate="42601")
    for constraint in constraints:
        kind = constraint["contype"]
        if kind == "CONSTR_NOTNULL":
            domain = msgspec.structs.replace(domain, nullable=False)
        elif kind == "CONSTR_DEFAULT":
            domain = _with_default(
                domain, default_text(parsed, constraint["location"]), constraint["raw_expr"], catalogue
            )
        elif kind != "CONSTR_NULL":
            domain = _with_check(domain, constraint, parsed, catalogue)
    return Plan("schema", "", "CREATE DOMAIN", (Change(schema, name, value=domain),))


def _with_check(domain: DomainSource, fields: Node, parsed: Parsed, catalogue: Catalogue) -> DomainSource:
    kind = fields["contype"]
    if kind in _NOT_POSSIBLE:
        message = f"{_NOT_POSSIBLE[kind]} constraints not possible for domains"
        raise DatabaseError(message, sqlstate="42601")
    if kind != "CONSTR_CHECK":
        raise refused(f"a domain with {kind.removeprefix('CONSTR_').lower()}")
    only(
        fields, "CHECK", "contype", "conname", "raw_expr", "is_enforced", "initially_valid", "skip_validation"
    )
    if fields.get("skip_validation"):
        raise refused("CHECK ... NOT VALID")
    name = fields.get("conname") or _free_name(domain)
    check_name(name)
    if name in domain.checks:
        raise _name_taken(name, domain)
    scope = Scope(catalogue, ())
    scope.arguments = {"value": Expr(VALUE, base_type(resolve(domain.type, catalogue)), name="value")}
    test = expressions.condition(fields["raw_expr"], scope, "CHECK")
    return msgspec.structs.replace(
        domain,
        checks={**domain.checks, name: check_text(parsed, fields["location"])},
        tests={**domain.tests, name: test},
    )


def _name_taken(name: str, domain: DomainSource) -> DatabaseError:
    return DatabaseError(f'constraint "{name}" for domain "{domain.name}" already exists', sqlstate="42710")


def _free_name(domain: DomainSource) -> str:
    count = 0
    while True:
        name = object_name([domain.name], "check" + (str(count) if count else ""))
        if name not in domain.checks:
            return name
        count += 1


def _with_default(domain: DomainSource, text: str, node: Node, catalogue: Catalogue) -> DomainSource:
    if is_null(node):
        return domain
    given = types.coerce(
        expressions.emit(node, Scope(catalogue, ())), resolve(domain.type, catalogue), assign=True
    )
    if "VALUE" in given.sql.upper() and VALUE in given.sql:
        raise refused("a default that names VALUE")
    return msgspec.structs.replace(domain, default=text)


def found_domain(nodes: list[Node], catalogue: Catalogue) -> DomainSource:
    """Return the domain of a name; raises 42704, or 42809 for another type."""
    schema, name = type_key(nodes)
    domain = catalogue.domains.get((schema, name))
    if isinstance(domain, DomainSource):
        return domain
    if (schema, name) in catalogue.enums:
        raise DatabaseError(f"{name} is not a domain", sqlstate="42809")
    raise missing_type(schema, name)


def alter_domain(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER DOMAIN; the tables that use it are written anew."""
    only(fields, "ALTER DOMAIN", "subtype", "typeName", "name", "def", "behavior", "missing_ok")
    domain = found_domain(fields["typeName"], catalogue)
    kind = fields["subtype"]
    test: tuple[str, str] | None = None
    if kind == "T":
        after = msgspec.structs.replace(domain, default=None)
        if "def" in fields:
            text = altered_default_text(parsed, fields["def"])
            after = _with_default(after, text, fields["def"], catalogue)
    elif kind in "NO":
        after = msgspec.structs.replace(domain, nullable=kind == "N")
        test = (f"{VALUE} IS NOT NULL", "23502") if kind == "O" else None
    elif kind == "C":
        after = _with_check(domain, fields["def"]["Constraint"], parsed, catalogue)
        test = after.tests[next(name for name in after.tests if name not in domain.tests)], "23514"
    elif kind in ("X", "V"):
        if fields["name"] not in domain.checks:
            if fields.get("missing_ok"):
                return Plan("schema", "", "ALTER DOMAIN")
            message = f'constraint "{fields["name"]}" of domain "{domain.name}" does not exist'
            raise DatabaseError(message, sqlstate="42704")
        after = _without_check(domain, fields["name"]) if kind == "X" else domain
    else:
        raise refused(f"ALTER DOMAIN as {kind}")
    return changed_domain(domain, after, catalogue, test)


def _without_check(domain: DomainSource, name: str) -> DomainSource:
    return msgspec.structs.replace(
        domain,
        checks={other: text for other, text in domain.checks.items() if other != name},
        tests={other: sql for other, sql in domain.tests.items() if other != name},
    )


def rename_check(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER DOMAIN ... RENAME CONSTRAINT."""
    domain = found_domain(fields["object"]["List"]["items"], catalogue)
    old, new = fields["subname"], fields["newname"]
    if old not in domain.checks:
        raise DatabaseError(f'constraint "{old}" for domain {domain.name} does not exist', sqlstate="42704")
    if new in domain.checks:
        raise _name_taken(new, domain)
    after = msgspec.structs.replace(
        domain,
        checks={new if name == old else name: text for name, text in domain.checks.items()},
        tests={new if name == old else name: sql for name, sql in domain.tests.items()},
    )
    return changed_domain(domain, after, catalogue)


def comment_on_domain(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a COMMENT ON DOMAIN."""
    domain = found_domain(fields["object"]["TypeName"]["names"], catalogue)
    after = msgspec.structs.replace(domain, comment=fields.get("comment"))
    return Plan("schema", "", "COMMENT", (Change(domain.schema, domain.name, value=after),))


def changed_domain(
    before: DomainSource, after: DomainSource, catalogue: Catalogue, test: tuple[str, str] | None = None
) -> Plan:
    """Return the plan that changes a domain in all tables with columns of it.

    `test` is the SQL that values which are there have to meet, and the SQLSTATE where they do not.
    """
    domains = {**catalogue.domains, (after.schema, after.name): after}
    known = msgspec.structs.replace(catalogue, domains=domains)
    rebuilds, pieces = [], []
    for table in definitions(catalogue):
        names = columns_of(table, before)
        if not names or table.kind != "table":
            continue
        columns = {
            name: msgspec.structs.replace(column, type=resolve(str(column.type), known))
            for name, column in table.columns.items()
        }
        altered = msgspec.structs.replace(table, columns=columns)
        rebuilds.append(rebuild(table, altered, known))
        if test is not None:
            pieces += [_looked_at(table, name, *test) for name in names]
    change = Change(after.schema, after.name, value=after)
    return Plan("schema", "; ".join(pieces), "ALTER DOMAIN", (change,), rebuilds=tuple(rebuilds))


def columns_of(table: Definition, domain: DomainSource) -> list[str]:
    """Return the names of a table's columns of a domain, or of one that is over it."""
    return [name for name, column in table.columns.items() if is_over(column.type, domain)]


def is_over(declared: str, domain: DomainSource) -> bool:
    """Tell whether a type is a domain, or a domain over it."""
    while isinstance(declared, DomainType):
        if (declared.domain.schema, declared.domain.name) == (domain.schema, domain.name):
            return True
        declared = declared.base
    return False


def _looked_at(table: Definition, column: str, test: str, sqlstate: str) -> str:
    what = "null values" if sqlstate == "23502" else "values that violate the new constraint"
    message = text_literal(f'column "{column}" of table "{table.name}" contains {what}')
    value = test.replace(VALUE, quote(column))
    return f"SELECT pg_raise('{sqlstate}', {message}) FROM {file_name(table)} WHERE NOT ({value})"
