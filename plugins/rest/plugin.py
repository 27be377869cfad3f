"""The plugin's face: settings, routes, and errors in PostgREST's shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.keys import Keys
from kernel.contracts.records import Records
from kernel.http import Problem, Request, Response
from kernel.plugin import Plugin, hookimpl
from kernel.routing import Route
from plugins.rest.errors import RestError, of_problem, translate, unsupported_method
from plugins.rest.settings import RestSettings

_TABLE = "/rest/v1/{table}"
_FUNCTION = "/rest/v1/rpc/{function}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class RestPlugin(Plugin):
    """Tables over HTTP under ``/rest/v1``, as the Supabase and PostgREST clients expect."""

    name = "rest"
    requires = (Records,)
    uses = (Keys, Database)
    Settings = RestSettings

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        """Return a route for each method on a table, and the refusal of every other path."""
        from plugins.rest.batch import Batch
        from plugins.rest.negotiation import Negotiator
        from plugins.rest.openapi import Root
        from plugins.rest.routes import Tables
        from plugins.rest.rpc.routes import Functions

        negotiator = Negotiator(self.settings, self.kernel.clock.monotonic)
        tables = Tables(self.kernel.services[Records], self.settings, negotiator)
        database = self.kernel.services.get(Database)
        root = Root(database, self.kernel.services[Records], self.settings, negotiator)
        nearby = database is not None and database.engine == "sqlite"  # a server would have to be waited for
        yield Route("GET", _TABLE, tables.read, inline=nearby, summary="Read rows of a table")
        yield Route("POST", _TABLE, tables.insert, summary="Insert or upsert rows")
        yield Route("PUT", _TABLE, tables.put, summary="Insert or replace one row by its key")
        yield Route("PATCH", _TABLE, tables.update, summary="Update rows")
        yield Route("DELETE", _TABLE, tables.delete, summary="Delete rows")
        yield Route("OPTIONS", _TABLE, tables.options, inline=True, summary="Methods of a table")
        batch = Batch(self.kernel.services[Records], self.settings, negotiator)
        yield Route("POST", "/batch/v1", batch.run, summary="Several requests in one transaction")
        yield Route("GET", "/rest/v1/", root.describe, summary="Description of the tables, as OpenAPI")
        yield Route("OPTIONS", "/rest/v1/", root.options, inline=True, summary="Methods of the root")
        functions = Functions(self.kernel.services[Records], self.settings, negotiator)
        yield Route("GET", _FUNCTION, functions.read, summary="Call a function that only reads")
        yield Route("POST", _FUNCTION, functions.call, summary="Call a function")
        yield Route("OPTIONS", _FUNCTION, functions.options, inline=True, summary="Methods of a function")
        for method in ("PUT", "PATCH", "DELETE"):
            yield Route(method, _FUNCTION, functions.refuse, inline=True, summary="No method of a function")
        for method in _METHODS:
            yield Route(method, "/rest/v1/{table}/{rest:path}", self._nothing, summary="No such path")

    @hookimpl
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:
        """Give commands that create and read a row."""
        from plugins.rest.greeting import commands

        keys, database = self.kernel.services.get(Keys), self.kernel.services.get(Database)
        if keys is None or database is None:
            return {}
        schema = self.settings.schemas[0]
        tables = [table for table in database.catalogue.tables.values() if table.schema == schema]
        return {"Try": commands(f"{url}/rest/v1", keys.api_key("service_role"), tables)}

    def format_error(self, request: Request, problem: Problem, error: Exception) -> Response | None:
        """Render an error that did not come from here in PostgREST's shape."""
        if isinstance(error, DatabaseError):
            return translate(error, request.identity).response()
        if problem.status == 405:
            return unsupported_method(request.method).response()
        return of_problem(problem).response()

    def _nothing(self, request: Request, table: str, rest: str) -> Response:
        return RestError(404, "PGRST125", "Invalid path specified in request URL").response()
