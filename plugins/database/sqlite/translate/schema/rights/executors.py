"""Who may call functions: GRANT and REVOKE on them, and what new ones come with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kernel.contracts.catalogue import PUBLIC, Catalogue, DefaultGrant, Function
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.statements import Change
from plugins.database.sqlite.translate.nodes import Node, strings

_EVERYONE = DefaultGrant(PUBLIC, "execute", "function")
# Who has no bounds may call anything. Kept beside others, it tells that these have been changed.
_CHANGED = DefaultGrant("service_role", "execute", "function")


def on_functions(fields: Node, roles: tuple[str, ...], catalogue: Catalogue) -> Iterable[Change]:
    """Yield what a GRANT or REVOKE on functions changes; raises 42883, or 42725 for a name of several."""
    given = bool(fields.get("is_grant"))
    for function in _functions(fields, catalogue):
        after = function.executors | set(roles) if given else function.executors - set(roles)
        yield Change(
            function.schema, function.signature, function=msgspec.structs.replace(function, executors=after)
        )


def _functions(fields: Node, catalogue: Catalogue) -> Iterator[Function]:
    from plugins.database.sqlite.translate.schema.functions import named_function

    if fields["targtype"] == "ACL_TARGET_ALL_IN_SCHEMA":
        for schema in strings(fields["objects"]):
            if schema not in catalogue.schemas:
                raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
            for (where, _), overloads in catalogue.functions.items():
                yield from overloads if where == schema else ()
        return
    for item in fields["objects"]:
        if strings(item["ObjectWithArgs"]["objname"])[0] not in ("auth", "pg_catalog"):  # everyone's
            yield named_function(item["ObjectWithArgs"], catalogue)


def of_all_schemas(catalogue: Catalogue) -> set[DefaultGrant]:
    """Return what new functions of all schemas come with, once somebody changes that."""
    found = {one for one in catalogue.default_grants if one.kind == "function" and one.schema is None}
    return found or {_EVERYONE, _CHANGED}


def first_executors(schema: str, catalogue: Catalogue) -> frozenset[str]:
    """Return who may call a new function of a schema."""
    in_schema = {one for one in catalogue.default_grants if one.kind == "function" and one.schema == schema}
    return frozenset(one.role for one in of_all_schemas(catalogue) | in_schema) - {_CHANGED.role}
