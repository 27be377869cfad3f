"""RENAME of functions and of types; refused where a text names them, which would have to follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kernel.contracts.catalogue import Argument, Catalogue, Function
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import (
    CALLED,
    Definition,
    DomainSource,
    Simple,
    definitions,
)
from plugins.database.sqlite.catalogue.kinds import resolve
from plugins.database.sqlite.statements import Change, Plan, Rebuild
from plugins.database.sqlite.translate.nodes import Node, refused, strings
from plugins.database.sqlite.translate.schema.dependents import functions
from plugins.database.sqlite.translate.schema.functions import named_function
from plugins.database.sqlite.translate.schema.tables.rebuilding import rebuild
from plugins.database.sqlite.translate.schema.types.enums import missing_type, new_type, type_key
from plugins.database.sqlite.translate.scope import check_name


def rename_function(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER FUNCTION ... RENAME TO."""
    function, new = named_function(fields["object"]["ObjectWithArgs"], catalogue), fields["newname"]
    check_name(new)
    after = msgspec.structs.replace(function, name=new)
    taken = catalogue.functions.get((function.schema, new), ())
    if any(one.signature == after.signature for one in taken):
        raise DatabaseError(
            f'function {after.signature} already exists in schema "{function.schema}"', sqlstate="42723"
        )
    _check_unnamed(function.name, f"the function {function.name}()", catalogue, with_simple=False)
    changes = [
        Change(function.schema, function.signature, function=function, is_gone=True),
        Change(after.schema, after.signature, function=after),
    ]
    old = (function.schema, function.signature, CALLED)
    for view in definitions(catalogue):
        if old in view.reads:
            reads = tuple((*old[:1], after.signature, CALLED) if one == old else one for one in view.reads)
            simple = view.simple and _calls_anew(view.simple, function, new, catalogue)
            changed = msgspec.structs.replace(view, reads=reads, simple=simple)
            changes.append(Change(view.schema, view.name, changed))
    return Plan("schema", "", "ALTER FUNCTION", tuple(changes))


def _calls_anew(simple: Simple, function: Function, new: str, catalogue: Catalogue) -> Simple:
    """Return what a view is written through by with the calls of a function under its new name."""
    if len(catalogue.functions[function.schema, function.name]) > 1:
        raise refused(f"RENAME of one of the functions {function.name}(), which a view calls,")

    def renamed(tree: Any) -> Any:
        if isinstance(tree, list):
            return [renamed(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        result = {key: renamed(value) for key, value in tree.items()}
        names = strings(tree["FuncCall"]["funcname"]) if "FuncCall" in tree else []
        if names and (names[0] if len(names) > 1 else "public", names[-1]) == (
            function.schema,
            function.name,
        ):
            result["FuncCall"]["funcname"][-1] = {"String": {"sval": new}}
        return result

    targets, where = renamed(dict(simple.targets)), renamed(simple.where)
    return msgspec.structs.replace(simple, targets=targets, where=where)


def rename_type(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TYPE or ALTER DOMAIN ... RENAME TO; columns and functions keep the type."""
    schema, name = type_key(fields["object"]["List"]["items"])
    made = catalogue.enums.get((schema, name)) or catalogue.domains.get((schema, name))
    if made is None:
        raise missing_type(schema, name)
    if fields["renameType"] == "OBJECT_DOMAIN" and not isinstance(made, DomainSource):
        raise DatabaseError(f"{name} is not a domain", sqlstate="42809")
    new = {"String": {"sval": fields["newname"]}}
    new_type([{"String": {"sval": schema}}, new], catalogue)
    _check_unnamed(name, f"the type {name}", catalogue)
    after = msgspec.structs.replace(made, name=fields["newname"])
    old_name, new_name = (one.name if schema == "public" else f"{schema}.{one.name}" for one in (made, after))
    names = {old_name: new_name, f"{old_name}[]": f"{new_name}[]"}
    changes = [Change(schema, name, value=made, is_gone=True), Change(schema, after.name, value=after)]
    for domain in catalogue.domains.values():
        if domain.type in names:
            over = msgspec.structs.replace(domain, type=names[domain.type])
            changes.append(Change(domain.schema, domain.name, value=over))
    known = _with_types(catalogue, changes)
    rebuilds: list[Rebuild] = []
    for table in definitions(catalogue):
        if any(str(column.type) in names for column in table.columns.values()):
            columns = {
                key: msgspec.structs.replace(
                    column, type=resolve(names.get(column.type, str(column.type)), known)
                )
                for key, column in table.columns.items()
            }
            altered = msgspec.structs.replace(table, columns=columns)
            changes.append(Change(table.schema, table.name, altered))
            # The checks of a domain's columns have its name.
            rebuilds += [rebuild(table, altered, known)] if table.kind == "table" else []
    for function in functions(catalogue):
        changes += _function_followed(function, names)
    return Plan("schema", "", "ALTER TYPE", tuple(changes), rebuilds=tuple(rebuilds))


def _with_types(catalogue: Catalogue, changes: list[Change]) -> Catalogue:
    enums, domains = dict(catalogue.enums), dict(catalogue.domains)
    for change in changes:
        known = domains if isinstance(change.value, DomainSource) else enums
        if change.is_gone:
            known.pop((change.schema, change.name))
        else:
            known[change.schema, change.name] = change.value  # type: ignore[assignment]
    return msgspec.structs.replace(catalogue, enums=enums, domains=domains)


def _function_followed(function: Function, names: dict[str, str]) -> list[Change]:
    def renamed(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
        return tuple(msgspec.structs.replace(one, type=names.get(one.type, one.type)) for one in arguments)

    after = msgspec.structs.replace(
        function,
        arguments=renamed(function.arguments),
        columns=renamed(function.columns),
        returns=names.get(function.returns, function.returns),
    )
    if after == function:
        return []
    return [
        Change(function.schema, function.signature, function=function, is_gone=True),
        Change(after.schema, after.signature, function=after),
    ]


def _check_unnamed(name: str, what: str, catalogue: Catalogue, *, with_simple: bool = True) -> None:
    """Refuse to rename what a text names, which PostgreSQL would have follow."""
    word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
    for where, text in _texts(catalogue, with_simple=with_simple):
        if word.search(text):
            raise refused(
                f"RENAME of {what}, which {where} names,",
                hint=f"Drop {where} before, and create it again afterwards.",
            )


def _texts(catalogue: Catalogue, *, with_simple: bool) -> Iterator[tuple[str, str]]:
    for table in definitions(catalogue):
        for policy in table.policies:
            yield f'the policy "{policy.name}" on {table.name}', f"{policy.using} {policy.check}"
        for column in table.columns.values():
            yield f"the default of {table.name}.{column.name}", column.default or ""
        yield f"a definition of the {table.kind} {table.name}", _trees(table)
        if with_simple:
            yield f"the view {table.name}", msgspec.json.encode(table.simple).decode()
    for function in functions(catalogue):
        trees = msgspec.json.encode([getattr(function, "statements", ()), getattr(function, "defaults", ())])
        yield f"the function {function.name}()", trees.decode()
    for domain in catalogue.domains.values():
        yield f"the domain {domain.name}", " ".join([domain.default or "", *domain.checks.values()])


def _trees(table: Definition) -> str:
    # A view that reads with its owner's rights holds a function's body in place of its call.
    read_again = table.definition if table.security_invoker else None
    trees = [table.checks, table.generated, table.indexed, read_again]
    return msgspec.json.encode(trees).decode()
