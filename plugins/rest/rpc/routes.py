"""The handlers: find the function that a request means, call it, answer with what it returned."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Function
from kernel.contracts.queries import Call
from kernel.contracts.records import Called, Records, UnknownFunction
from kernel.http import HeaderList, Request, Response
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query, QueryParser
from plugins.rest.negotiation import ranges
from plugins.rest.negotiation.accept import MediaType
from plugins.rest.negotiation.terms import Negotiator, ProfileHeader
from plugins.rest.routes import answering
from plugins.rest.rows import body_of
from plugins.rest.rpc.arguments import Arguments, from_body, from_pairs
from plugins.rest.writes import VARY

_SCALAR = "pgrst_scalar"
"""What PostgREST calls the column of values that are not rows."""

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class Functions:
    """The methods on a function."""

    def __init__(self, records: Records, parser: QueryParser, negotiator: Negotiator) -> None:
        self._records = records
        self._parser = parser
        self.negotiator = negotiator

    @answering
    def read(self, request: Request, function: str) -> Response:
        """GET and HEAD: call it so that it cannot write, with arguments from the query string."""
        schema, _ = self.negotiator.schema(request, "accept-profile")
        query = self._parser.parse_call(request.query).query
        call = Call(function, schema=schema, texts=True, read_only=True)
        return self._answer(request, "accept-profile", query, call, from_pairs(query.arguments))

    @answering
    def call(self, request: Request, function: str, body: bytes) -> Response:
        """POST: call it with arguments from the body."""
        schema, _ = self.negotiator.schema(request, "content-profile")
        query = self._parser.parse(request.query).query
        if query.cursor is not None:
            raise RestError(400, "PGRST100", "A cursor does not go with functions")
        arguments = from_body(request, body, query.columns)
        call = Call(function, schema=schema, texts=arguments.pairs is not None)
        return self._answer(request, "content-profile", query, call, arguments)

    @answering
    def options(self, request: Request, function: str) -> Response:
        """OPTIONS: the methods that it answers to."""
        watch = self.negotiator.watch(request)
        schema, _ = self.negotiator.schema(request, "accept-profile")
        names = from_pairs(self._parser.parse_call(request.query).query.arguments).names or ()
        watch.lap("parse")
        found = self._records.function(Call(function, names, schema=schema), request.identity)
        watch.lap("plan")
        methods = "OPTIONS,POST" if found.volatility == "volatile" else "OPTIONS,GET,HEAD,POST"
        return Response(status=200, headers=[("allow", methods), ("content-length", "0"), *watch.headers()])

    @answering
    def refuse(self, request: Request, function: str) -> Response:
        """Refuse a method that no function has."""
        raise RestError(405, "PGRST101", f"Cannot use the {request.method} method on RPC")

    def _answer(
        self, request: Request, header: ProfileHeader, query: Query, call: Call, arguments: Arguments
    ) -> Response:
        call, found = self._found(request, call, arguments)
        terms = self.negotiator.terms(request, header, self._records.medium(found))
        terms.watch.lap("parse")
        prefer = terms.prefer
        if prefer.max_affected is not None and not found.returns_set:
            message = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
            raise RestError(400, "PGRST128", message)
        ranged = request.headers.get("range") if request.method == "GET" else None
        offset, limit = ranges.window(query, ranged, self._parser.max_rows)
        if not found.returns_set:
            offset, limit = 0, None
        terms.watch.lap("plan")
        called = self._records.under(terms.settings).call(
            msgspec.structs.replace(
                call,
                items=query.items,
                where=query.where,
                order=query.order,
                limit=limit,
                offset=offset,
                counted=prefer.count is not None,
                single=terms.media.single,
                max_affected=prefer.max_affected,
                undo=terms.undo,
                as_text=terms.media.csv,
                explain=terms.media.explain,
            ),
            request.identity,
        )
        terms.watch.lap("transaction")
        if terms.media.explain is not None:
            return terms.explained(called.body)
        headers: HeaderList = [
            *terms.profile,
            *prefer.applied("max-affected"),
            ("content-range", ranges.content_range(offset, called.count, called.total)),
            VARY,
        ]
        if called.is_void:
            return terms.answer(b"", 204, headers)
        headers.append(("content-type", terms.media.content_type))
        status, body = ranges.status(offset, called.count, called.total), _body(called, terms.media)
        return terms.answer(body, status, headers)

    def _found(self, request: Request, call: Call, arguments: Arguments) -> tuple[Call, Function]:
        """Return the call that fits a function and that function: by names, or else with the whole body."""
        if arguments.names is not None:
            named = msgspec.structs.replace(call, names=arguments.names)
            try:
                found = self._records.function(named, request.identity)
            except UnknownFunction:
                if arguments.whole is None:
                    raise
            else:
                return msgspec.structs.replace(named, arguments=arguments.text_for(found)), found
        whole = msgspec.structs.replace(
            call, names=arguments.names or (), arguments=arguments.body, whole=arguments.whole
        )
        return whole, self._records.function(whole, request.identity)


def _own(body: bytes, type_name: str) -> bytes:
    """Return a value as what it is: text, or the bytes that PostgreSQL writes in hexadecimal digits."""
    if not body.startswith(b'"'):
        return b"" if body == b"null" else body
    text = _decode_text(body)
    return bytes.fromhex(text.removeprefix("\\x")) if type_name == "bytea" else text.encode()


def _body(called: Called, media: MediaType) -> bytes:
    """Return what was returned as it is wanted; in JSON, what is one value is neither wrapped nor unwrapped."""
    if media.own is not None:
        return _own(called.body, media.own.type)
    if media.lines and called.single:
        return called.body + b"\n"
    if not media.csv:
        return body_of(called.body, msgspec.structs.replace(media, single=media.single and not called.single))
    values = _decode(b"[" + called.body + b"]" if called.single else called.body)
    rows = [one if bytes(one).startswith(b"{") else msgspec.Raw(_encode({_SCALAR: one})) for one in values]
    return body_of(_encode(rows), media)
