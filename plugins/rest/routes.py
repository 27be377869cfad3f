"""The handlers: parse the request into the tree, ask the records, answer in PostgREST's manners."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Conflict, Delete, Insert, Planned, Select, Update
from kernel.contracts.records import Records, RecordsError, WrongCount
from kernel.http import HeaderList, Request, Response, TooLong
from plugins.rest import cursors, streams
from plugins.rest.errors import RestError
from plugins.rest.language.query import QueryParser
from plugins.rest.negotiation import ranges
from plugins.rest.negotiation.accept import JSON
from plugins.rest.negotiation.conditional import etag, guarded
from plugins.rest.negotiation.prefer import NONE
from plugins.rest.negotiation.terms import Negotiator
from plugins.rest.payload import payload
from plugins.rest.refusals.records import translate
from plugins.rest.rows import LARGEST_INLINE, body_of
from plugins.rest.writes import VARY, Write, check_keys, location

P = ParamSpec("P")

_LONGEST_INLINE = 2_000
"""How many characters of a query string may keep the event loop busy; in the worst case they take 5 ms."""

_TIMEOUT = "57014"
"""Of a statement that asked for too much: the client's doing, whatever the status says."""


def answering(handler: Callable[P, Response]) -> Callable[P, Response]:
    """Answer a client's errors; what is the server's fault goes on to the kernel, which logs it.

    It is a method of what has a `negotiator`.
    """

    @functools.wraps(handler)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return handler(*args, **kwargs)
        except RestError as error:
            refusal = error
        except (RecordsError, DatabaseError) as error:
            request: Any = args[1]
            refusal = translate(error, request.identity)
            if refusal.status >= 500 and refusal.code != _TIMEOUT:
                raise
        handlers: Any = args[0]
        return refusal.response(handlers.negotiator.verbosity)

    return answer


class Tables:
    """The methods on a table."""

    def __init__(self, records: Records, parser: QueryParser, negotiator: Negotiator) -> None:
        self._records = records
        self._parser = parser
        self.negotiator = negotiator

    @answering
    def read(self, request: Request, table: str) -> Response:
        """GET and HEAD: rows, or how many there are."""
        if request.inline and len(request.query) > _LONGEST_INLINE:
            raise TooLong
        terms = self.negotiator.terms(request, "accept-profile")
        prefer, media = terms.prefer, terms.media
        parsed = self._parser.parse(request.query)
        query = parsed.query
        header = request.headers.get("range") if request.method == "GET" else None
        terms.watch.lap("parse")
        offset, limit = ranges.window(query, header, self._parser.max_rows)
        counted = prefer.count is not None
        select = Select(
            table,
            terms.schema,
            query.items,
            query.where,
            query.order,
            limit,
            offset,
            counted,
            media.csv,
            query.distinct,
            planned=self._planned(prefer.count),
            explain=media.explain,
        )
        terms.watch.lap("plan")
        records = self._records.under(terms.settings)
        address = location(table, parsed.canonical)
        if streams.is_wanted(terms):
            return streams.answer(records, request, terms, query, select, address)
        if query.cursor is None:
            page = records.read(select, request.identity, inline=request.inline)
            leading: HeaderList = []
        else:
            page, leading = cursors.read(records, request, select, query.cursor)
        terms.watch.lap("transaction")
        if media.explain is not None:
            return terms.explained(page.body)
        if media.single and page.count != 1:
            raise WrongCount(page.count)
        if media is not JSON and request.inline and len(page.body) > LARGEST_INLINE:
            raise TooLong
        headers: HeaderList = [
            *terms.profile,
            ("content-type", media.content_type),
            ("content-range", ranges.content_range(offset, page.count, page.total)),
            ("content-location", address),
            VARY,
            *leading,
        ]
        if prefer is not NONE:
            headers += prefer.applied()
        tag = None if media.csv or query.cursor is not None else etag(page, query)
        if tag is not None:
            headers.append(("etag", tag))
        status = ranges.status(offset, page.count, page.total)
        body = page.body if media is JSON else body_of(page.body, media)
        return terms.answer(body, status, headers)

    @answering
    def insert(self, request: Request, table: str, body: bytes) -> Response:
        """POST: new rows, or with a resolution an upsert."""
        write = self._write(request, table)
        query, prefer = write.query, write.terms.prefer
        rows = payload(request, body, query.columns)
        conflict = write.conflict()
        written = self._records.under(write.terms.settings).insert(
            Insert(
                table,
                rows.columns,
                rows.text,
                len(rows.rows),
                write.table.schema,
                conflict,
                prefer.missing == "default",
                write.returning(),
                write.terms.media.single,
                write.terms.undo,
                write.terms.media.csv,
                query.order,
                write.terms.media.explain,
            ),
            request.identity,
        )
        merged = conflict is not None and conflict.action == "merge"
        status = 200 if merged and not (written.inserted and rows.rows) else 201
        names = ("resolution",) if conflict is not None else ()
        span = ranges.content_range(0, 0, write.total(written))
        return write.answer(written, status, span, "missing", *names)

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
        check_keys(rows, keys)
        with guarded(self._records.under(write.terms.settings), request, write.table, query.where) as records:
            written = records.insert(
                Insert(
                    table,
                    rows.columns,
                    f"[{rows.first()}]",
                    1,
                    write.table.schema,
                    Conflict("merge"),
                    returning=write.returning(),
                    single=write.terms.media.single,
                    undo=write.terms.undo,
                    as_text=write.terms.media.csv,
                    explain=write.terms.media.explain,
                ),
                request.identity,
            )
        status = write.status()
        if status == 200 and written.inserted:
            status = 201
        return write.answer(written, status, None)

    @answering
    def update(self, request: Request, table: str, body: bytes) -> Response:
        """PATCH: new values for the rows that the filters find."""
        write = self._write(request, table)
        prefer = write.terms.prefer
        rows = payload(request, body, write.query.columns)
        columns = rows.columns if rows.rows else ()
        with guarded(
            self._records.under(write.terms.settings), request, write.table, write.query.where
        ) as records:
            written = records.update(
                Update(
                    table,
                    columns,
                    rows.first(),
                    write.table.schema,
                    write.query.where,
                    prefer.missing == "default",
                    write.returning(),
                    write.terms.media.single,
                    prefer.max_affected,
                    write.terms.undo,
                    write.terms.media.csv,
                    write.query.order,
                    write.terms.media.explain,
                ),
                request.identity,
            )
        span = ranges.content_range(0, written.count, write.total(written))
        return write.answer(written, write.status(), span, "missing", "max-affected")

    @answering
    def delete(self, request: Request, table: str) -> Response:
        """DELETE: away with the rows that the filters find."""
        write = self._write(request, table)
        with guarded(
            self._records.under(write.terms.settings), request, write.table, write.query.where
        ) as records:
            written = records.delete(
                Delete(
                    table,
                    write.table.schema,
                    write.query.where,
                    write.returning(),
                    write.terms.media.single,
                    write.terms.prefer.max_affected,
                    write.terms.undo,
                    write.terms.media.csv,
                    write.query.order,
                    write.terms.media.explain,
                ),
                request.identity,
            )
        span = ranges.content_range(0, 0, write.total(written))
        return write.answer(written, write.status(), span, "max-affected")

    @answering
    def options(self, request: Request, table: str) -> Response:
        """OPTIONS: the methods this table answers to."""
        watch = self.negotiator.watch(request)
        schema, _ = self.negotiator.schema(request, "accept-profile")
        watch.lap("parse")
        found = self._records.table(table, schema, request.identity)
        watch.lap("plan")
        methods = "OPTIONS,GET,HEAD"
        takes = found.writable
        methods += ",POST" if "insert" in takes else ""
        methods += ",PUT" if {"insert", "update"} <= takes and found.primary_key else ""
        methods += ",PATCH" if "update" in takes else ""
        methods += ",DELETE" if "delete" in takes else ""
        return Response(status=200, headers=[("allow", methods), ("content-length", "0"), *watch.headers()])

    def _planned(self, count: str | None) -> Planned | None:
        """Return how far a total is to be reckoned; an estimate is exact as far as rows are answered with."""
        if count == "planned":
            return Planned()
        return Planned(self._parser.max_rows or 0) if count == "estimated" else None

    def _write(self, request: Request, table: str) -> Write:
        terms = self.negotiator.terms(request, "content-profile")
        query = self._parser.parse_write(request.query).query
        ranges.window(query, None, None)
        terms.watch.lap("parse")
        found = self._records.table(table, terms.schema, request.identity)
        terms.watch.lap("plan")
        return Write(found, query, terms)
