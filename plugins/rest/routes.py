"""The handlers: parse the request into the tree, ask the records, answer in PostgREST's manners."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec
from urllib.parse import quote, urlencode

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Conflict, Delete, Field, Insert, Item, Select, Selected, Update
from kernel.contracts.records import Records, RecordsError, Written, WrongCount
from kernel.http import HeaderList, Request, Response, TooLong
from plugins.rest import ranges
from plugins.rest.accept import CONTENT_TYPES, Shape, wanted_shape
from plugins.rest.errors import RestError, translate
from plugins.rest.language.query import Query, QueryParser
from plugins.rest.language.selection import Selection
from plugins.rest.payload import Payload, payload
from plugins.rest.prefer import NONE, Preferences, preferences
from plugins.rest.settings import RestSettings

P = ParamSpec("P")

_LONGEST_INLINE = 2_000
"""How many characters of a query string may keep the event loop busy; in the worst case they take 5 ms."""

_VARY = ("vary", "Accept, Prefer, Range")
_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


def answering(handler: Callable[P, Response]) -> Callable[P, Response]:
    """Answer a client's errors; what is the server's fault goes on to the kernel, which logs it."""

    @functools.wraps(handler)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return handler(*args, **kwargs)
        except RestError as error:
            return error.response()
        except (RecordsError, DatabaseError) as error:
            request: Any = args[1]
            refusal = translate(error, request.identity)
            if refusal.status >= 500:
                raise
            return refusal.response()

    return answer


class Tables:
    """The methods on a table."""

    def __init__(self, records: Records, settings: RestSettings) -> None:
        self._records = records
        self._schemas = settings.schemas
        self._max_rows = settings.max_rows
        selection = Selection(settings.aggregates, settings.embedding_depth)
        self._parser = QueryParser(selection, settings.max_rows)

    @answering
    def read(self, request: Request, table: str) -> Response:
        """GET and HEAD: rows, or how many there are."""
        if request.inline and len(request.query) > _LONGEST_INLINE:
            raise TooLong
        schema, headers = self._schema(request, "accept-profile")
        prefer = preferences(request)
        shape = wanted_shape(request)
        parsed = self._parser.parse(request.query)
        query = parsed.query
        header = request.headers.get("range") if request.method == "GET" else None
        offset, limit = ranges.window(query, header, self._max_rows)
        select = Select(
            table, schema, query.items, query.where, query.order, limit, offset, prefer.count is not None
        )
        page = self._records.read(select, request.identity, inline=request.inline)
        body = page.body
        if shape == "object":
            if page.count != 1:
                raise WrongCount(page.count)
            body = body[1:-1]
        status = ranges.status(offset, page.count, page.total)
        headers += [
            ("content-type", CONTENT_TYPES[shape]),
            ("content-range", ranges.content_range(offset, page.count, page.total)),
            ("content-location", _location(table, parsed.canonical)),
            _VARY,
        ]
        if prefer is not NONE:
            headers += prefer.applied("count", "handling")
        return Response(body, status, headers)

    @answering
    def insert(self, request: Request, table: str, body: bytes) -> Response:
        """POST: new rows, or with a resolution an upsert."""
        write = self._write(request, table)
        query, prefer = write.query, write.prefer
        rows = payload(request, body, query.columns)
        conflict = _conflict(prefer, query, write.table)
        written = self._records.insert(
            Insert(
                table,
                rows.columns,
                rows.text,
                len(rows.rows),
                write.table.schema,
                conflict,
                prefer.missing == "default",
                write.returning(),
                write.shape == "object",
            ),
            request.identity,
        )
        merged = conflict is not None and conflict.action == "merge"
        status = 200 if merged and not (written.inserted and rows.rows) else 201
        names = ("resolution",) if conflict is not None else ()
        total = "*" if prefer.count is None else written.count
        return write.answer(written, status, f"*/{total}", *names, "missing", "return", "count", "handling")

    @answering
    def put(self, request: Request, table: str, body: bytes) -> Response:
        """PUT: the one row with the key that the filters name, inserted or replaced."""
        write = self._write(request, table)
        query = write.query
        if query.limit is not None or query.offset:
            message = "limit/offset querystring parameters are not allowed for PUT"
            raise RestError(400, "PGRST114", message)
        keys = query.key_values()
        if not write.table.primary_key or keys is None or keys.keys() != set(write.table.primary_key):
            message = "Filters must include all and only primary key columns with 'eq' operators"
            raise RestError(405, "PGRST105", message)
        rows = payload(request, body, query.columns)
        _check_keys(rows, keys)
        written = self._records.insert(
            Insert(
                table,
                rows.columns,
                rows.text,
                1,
                write.table.schema,
                Conflict("merge"),
                returning=write.returning(),
                single=write.shape == "object",
            ),
            request.identity,
        )
        status = 204 if write.prefer.returns != "representation" else 201 if written.inserted else 200
        return write.answer(written, status, None, "return", "handling")

    @answering
    def update(self, request: Request, table: str, body: bytes) -> Response:
        """PATCH: new values for the rows that the filters find."""
        write = self._write(request, table)
        prefer = write.prefer
        rows = payload(request, body, write.query.columns)
        columns = rows.columns if rows.rows else ()
        written = self._records.update(
            Update(
                table,
                columns,
                rows.first(),
                write.table.schema,
                write.query.where,
                prefer.missing == "default",
                write.returning(),
                write.shape == "object",
                prefer.max_affected,
            ),
            request.identity,
        )
        total = None if prefer.count is None else written.count
        span = ranges.content_range(0, written.count, total)
        return write.answer(written, write.status(), span, "missing", *_CHANGED)

    @answering
    def delete(self, request: Request, table: str) -> Response:
        """DELETE: away with the rows that the filters find."""
        write = self._write(request, table)
        written = self._records.delete(
            Delete(
                table,
                write.table.schema,
                write.query.where,
                write.returning(),
                write.shape == "object",
                write.prefer.max_affected,
            ),
            request.identity,
        )
        total = "*" if write.prefer.count is None else written.count
        return write.answer(written, write.status(), f"*/{total}", *_CHANGED)

    @answering
    def options(self, request: Request, table: str) -> Response:
        """OPTIONS: the methods this table answers to."""
        schema, _ = self._schema(request, "accept-profile")
        found = self._records.table(table, schema, request.identity)
        methods = "OPTIONS,GET,HEAD"
        if found.kind == "table":
            methods += ",POST,PUT,PATCH,DELETE" if found.primary_key else ",POST,PATCH,DELETE"
        return Response(status=200, headers=[("allow", methods)])

    def _write(self, request: Request, table: str) -> _Write:
        schema, headers = self._schema(request, "content-profile")
        prefer = preferences(request)
        shape = wanted_shape(request)
        query = self._parser.parse_write(request.query).query
        ranges.window(query, None, None)
        found = self._records.table(table, schema, request.identity)
        return _Write(found, query, prefer, shape, headers)

    def _schema(self, request: Request, header: str) -> tuple[str, HeaderList]:
        profile = request.headers.get(header)
        if profile is None:
            schema = self._schemas[0]
            return schema, [("content-profile", schema)] if len(self._schemas) > 1 else []
        if profile not in self._schemas:
            hint = f"Only the following schemas are exposed: {', '.join(self._schemas)}"
            raise RestError(406, "PGRST106", f"Invalid schema: {profile}", hint=hint)
        return profile, [("content-profile", profile)]


_CHANGED = ("return", "count", "handling", "max-affected")


class _Write(msgspec.Struct, frozen=True):
    """What every write needs to know of its request, and how its answer is made."""

    table: Table
    query: Query
    prefer: Preferences
    shape: Shape
    headers: HeaderList

    def returning(self) -> tuple[Selected, ...] | None:
        """Return what the write is to return: what was selected, or for a Location header the key."""
        if self.prefer.returns == "representation":
            return self.query.items
        if self.prefer.returns == "headers-only" and self.table.primary_key:
            return tuple(Item(Field(name)) for name in self.table.primary_key)
        return None

    def status(self) -> int:
        """Return the status of an update or a delete."""
        return 200 if self.prefer.returns == "representation" else 204

    def answer(self, written: Written, status: int, content_range: str | None, *applied: str) -> Response:
        """Return the answer; `applied` are the preferences that were obeyed, in PostgREST's order."""
        headers = [*self.headers, *self.prefer.applied(*applied), _VARY]
        if content_range is not None:
            headers.append(("content-range", content_range))
        if self.prefer.returns != "representation":
            if (
                status == 201
                and self.prefer.returns == "headers-only"
                and written.count == 1
                and written.body
            ):
                headers.append(("location", self._location(written)))
            return Response(status=status, headers=headers)
        body = written.body[1:-1] if self.shape == "object" else written.body
        headers.append(("content-type", CONTENT_TYPES[self.shape]))
        return Response(body, status, headers)

    def _location(self, written: Written) -> str:
        key = _decode(written.body)[0]
        filters = {name: "is.null" if value is None else f"eq.{_plain(value)}" for name, value in key.items()}
        return _location(self.table.name, urlencode(filters))


def _location(table: str, query: str) -> str:
    return f"/{quote(table)}?{query}" if query else f"/{quote(table)}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _conflict(prefer: Preferences, query: Query, table: Table) -> Conflict | None:
    if prefer.resolution is None or not (query.on_conflict or table.primary_key):
        return None
    merge = prefer.resolution == "merge-duplicates"
    return Conflict("merge" if merge else "ignore", query.on_conflict or ())


def _check_keys(rows: Payload, keys: dict[str, str]) -> None:
    """Demand that the body is one row whose key is the one in the URL."""
    if len(rows.rows) == 1:
        row = rows.rows[0]
        values = {name: _text(row[name]) for name in keys if name in row and bytes(row[name]) != b"null"}
        if values == keys:
            return
    raise RestError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def _text(raw: msgspec.Raw) -> str:
    value = bytes(raw)
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()
