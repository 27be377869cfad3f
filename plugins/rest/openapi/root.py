"""The root of the API: an OpenAPI (Swagger 2.0) document about the schema, as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.records import Records
from kernel.http import Request, Response
from kernel.identity import Identity
from plugins.rest.errors import RestError
from plugins.rest.negotiation import accept
from plugins.rest.negotiation.terms import Negotiator
from plugins.rest.openapi import swagger
from plugins.rest.routes import answering
from plugins.rest.settings import RestSettings

_encode = msgspec.json.Encoder().encode

# What PostgreSQL lets the caller call; SQLite keeps no such rights.
_EXECUTABLE = """
select distinct p.proname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = :schema and has_function_privilege(p.oid, 'execute')
"""

_ROW_PRIVILEGES = ("select", "insert", "update", "delete")


class Root:
    """Describes a schema; what it found for a role is kept until the catalogue changes."""

    _KEPT = 50

    def __init__(
        self, database: Database, records: Records, settings: RestSettings, negotiator: Negotiator
    ) -> None:
        self._database = database
        self._records = records
        self._settings = settings
        self.negotiator = negotiator
        self._catalogue: Catalogue | None = None
        self._parts: dict[tuple[str, str], Mapping[str, msgspec.Raw]] = {}

    @answering
    def describe(self, request: Request) -> Response:
        """GET and HEAD: the document."""
        if self._settings.openapi == "disabled":
            raise RestError(404, "PGRST126", "Root endpoint metadata is disabled")
        watch = self.negotiator.watch(request)
        schema, profile = self.negotiator.schema(request, "accept-profile")
        media = accept.wanted_document(request)
        watch.lap("parse")
        watch.lap("plan")
        parts = self._described(self._database, schema, request.identity)
        watch.lap("transaction")
        document = {
            "swagger": "2.0",
            "info": {
                "title": f"The schema {schema}",
                "description": "Tables, views and functions of the schema, in the manner of PostgREST.",
                "version": version("backend-kernel"),
            },
            "host": request.host,
            "basePath": "/rest/v1",
            "schemes": [request.scheme],
            "consumes": swagger.MEDIA_TYPES,
            "produces": swagger.MEDIA_TYPES,
            "externalDocs": {
                "description": "How requests are written",
                "url": "https://docs.postgrest.org/en/stable/references/api.html",
            },
            **parts,
        }
        headers = [("content-type", media), *profile, *watch.headers()]
        return Response(_encode(document), headers=headers)

    @answering
    def options(self, request: Request) -> Response:
        """OPTIONS: the methods that there are."""
        watch = self.negotiator.watch(request)
        watch.lap("parse")
        headers = [("allow", "OPTIONS,GET,HEAD"), ("content-length", "0"), *watch.headers()]
        return Response(status=200, headers=headers)

    def _described(
        self, database: Database, schema: str, identity: Identity | None
    ) -> Mapping[str, msgspec.Raw]:
        """Return the document's parts about the schema, each as JSON."""
        catalogue = database.catalogue
        if self._catalogue is not catalogue or len(self._parts) >= self._KEPT:
            self._catalogue, self._parts = catalogue, {}
        caller = Identity("anon") if identity is None else identity
        kept = self._parts
        key = (schema, caller.role)
        found = kept.get(key)
        if found is None:
            found = kept[key] = self._written(database, catalogue, schema, caller)
        return found

    def _written(
        self, database: Database, catalogue: Catalogue, schema: str, caller: Identity
    ) -> Mapping[str, msgspec.Raw]:
        follows = self._settings.openapi == "follow-privileges"
        tables = [table for (in_schema, _), table in sorted(catalogue.tables.items()) if in_schema == schema]
        if follows:
            tables = _visible(tables, catalogue, schema, caller.role)
        paths: dict[str, Any] = {"/": _ROOT}
        paths |= {f"/{table.name}": swagger.path(table) for table in tables}
        executable = _executable(database, schema, caller) if follows else None
        for (in_schema, name), functions in sorted(catalogue.functions.items()):
            if in_schema != schema or (executable is not None and name not in executable):
                continue
            for function in functions:
                if function.returns not in ("trigger", "event_trigger"):
                    paths[f"/rpc/{name}"] = swagger.function_path(function)
        for function in self._records.callable(schema, caller):
            paths[f"/rpc/{function.name}"] = swagger.function_path(function)
        definitions = {table.name: swagger.definition(table, catalogue) for table in tables}
        parts = {"paths": paths, "definitions": definitions, "parameters": swagger.parameters(tables)}
        return {name: msgspec.Raw(_encode(part)) for name, part in parts.items()}


def _visible(tables: list[Table], catalogue: Catalogue, schema: str, role: str) -> list[Table]:
    """Return the tables with whose rows a role may do something."""
    known = catalogue.roles.get(role)
    if known is None:
        raise DatabaseError(f'role "{role}" does not exist', sqlstate="22023")
    if known.unrestricted or role == "service_role":
        return tables
    roles = catalogue.acting_as(role)
    if not catalogue.may_use(schema, roles):
        return []
    return [
        table
        for table in tables
        if any(grant.role in roles and grant.privilege in _ROW_PRIVILEGES for grant in table.grants)
    ]


def _executable(database: Database, schema: str, caller: Identity) -> frozenset[str] | None:
    """Return the names of the functions that the caller may call; None where there are no such rights."""
    if database.engine != "postgresql":
        return None
    rows = database.query(_EXECUTABLE, {"schema": schema}, identity=caller)
    return frozenset(str(row[0]) for row in rows)


_ROOT = {
    "get": {
        "tags": ["Introspection"],
        "summary": "OpenAPI description (this document)",
        "produces": ["application/openapi+json", "application/json"],
        "responses": {"200": {"description": "OK"}},
    }
}
