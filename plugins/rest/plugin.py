"""The plugin's face: settings, routes, and errors in PostgREST's shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.keys import Keys
from kernel.contracts.records import Records
from kernel.errors import ConfigError
from kernel.http import Problem, Request, Response
from kernel.plugin import Plugin, hookimpl
from kernel.routing import Route
from plugins.rest.errors import RestError, of_problem, unsupported_method
from plugins.rest.refusals.records import translate
from plugins.rest.settings import RestSettings

_TABLE = "/rest/v1/{table}"
_FUNCTION = "/rest/v1/rpc/{function}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class RestPlugin(Plugin):
    """Tables over HTTP under ``/rest/v1``, as the Supabase and PostgREST clients expect."""

    name = "rest"
    requires = (Records, Database)
    uses = (Keys,)
    Settings = RestSettings

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        """Return a route for each method on a table, and the refusal of every other path."""
        from plugins.rest.batch import Batch
        from plugins.rest.idempotency import Idempotency
        from plugins.rest.imports.routes import Imports
        from plugins.rest.language.query import QueryParser
        from plugins.rest.language.selection import Selection
        from plugins.rest.negotiation.terms import Negotiator
        from plugins.rest.openapi.root import Root
        from plugins.rest.routes import Tables
        from plugins.rest.rpc.routes import Functions

        records, settings = self.kernel.services[Records], self.settings
        database, clock = self.kernel.services[Database], self.kernel.clock
        if settings.pre_request is not None and database.engine != "postgresql":
            raise ConfigError(
                "[rest] pre_request: functions are called before requests on PostgreSQL only; remove it"
            )
        negotiator = Negotiator(settings, clock.monotonic, on_server=database.engine == "postgresql")
        once = Idempotency(database, records, negotiator, clock, settings.idempotency_seconds).once
        parser = QueryParser(Selection(settings.aggregates, settings.embedding_depth), settings.max_rows)

        def of_tables(records: Records) -> Tables:
            return Tables(records, parser, negotiator)

        def of_functions(records: Records) -> Functions:
            return Functions(records, parser, negotiator)

        tables, functions = of_tables(records), of_functions(records)
        nearby = database.engine == "sqlite"  # a server would have to be waited for
        yield Route("GET", _TABLE, tables.read, inline=nearby, summary="Read rows of a table")
        insert, put = once(of_tables, Tables.insert), once(of_tables, Tables.put)
        update, delete = once(of_tables, Tables.update), once(of_tables, Tables.delete)
        yield Route("POST", _TABLE, insert, summary="Insert or upsert rows")
        yield Route("PUT", _TABLE, put, summary="Insert or replace one row by its key")
        yield Route("PATCH", _TABLE, update, summary="Update rows")
        yield Route("DELETE", _TABLE, delete, summary="Delete rows")
        yield Route("OPTIONS", _TABLE, tables.options, inline=True, summary="Methods of a table")
        batch = once(lambda records: Batch(records, parser, negotiator), Batch.run)
        yield Route("POST", "/batch/v1", batch, summary="Several requests in one transaction")
        imports, limit = Imports(database, records, parser, negotiator), settings.import_bytes
        yield Route(
            "POST",
            "/import/v1/{table}",
            imports.run,
            max_body_bytes=limit,
            summary="Insert the rows of a large body",
        )
        root = Root(database, records, settings, negotiator)
        yield Route("GET", "/rest/v1/", root.describe, summary="Description of the tables, as OpenAPI")
        yield Route("OPTIONS", "/rest/v1/", root.options, inline=True, summary="Methods of the root")
        yield Route("GET", _FUNCTION, functions.read, summary="Call a function that only reads")
        call = once(of_functions, Functions.call)
        yield Route("POST", _FUNCTION, call, summary="Call a function")
        yield Route("OPTIONS", _FUNCTION, functions.options, inline=True, summary="Methods of a function")
        for method in ("PUT", "PATCH", "DELETE"):
            yield Route(method, _FUNCTION, functions.refuse, inline=True, summary="No method of a function")
        for method in _METHODS:
            yield Route(method, "/rest/v1/{table}/{rest:path}", self._nothing, summary="No such path")

    @hookimpl
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:
        """Give commands that create and read a row."""
        from plugins.rest.greeting import commands

        keys, database = self.kernel.services.get(Keys), self.kernel.services[Database]
        if keys is None:
            return {}
        schema = self.settings.schemas[0]
        tables = [table for table in database.catalogue.tables.values() if table.schema == schema]
        return {"Try": commands(f"{url}/rest/v1", keys.api_key("service_role"), tables)}

    def format_error(self, request: Request, problem: Problem, error: Exception) -> Response | None:
        """Render an error that did not come from here in PostgREST's shape."""
        if isinstance(error, DatabaseError):
            refusal = translate(error, request.identity)
        elif problem.status == 405:
            refusal = unsupported_method(request.method)
        else:
            refusal = of_problem(problem)
        return refusal.response(self.settings.error_verbosity)

    def _nothing(self, request: Request, table: str, rest: str) -> Response:
        refusal = RestError(404, "PGRST125", "Invalid path specified in request URL")
        return refusal.response(self.settings.error_verbosity)
