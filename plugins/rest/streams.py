"""Streams: answers of any number of rows, made as the database finds them."""

from __future__ import annotations

from collections.abc import Iterator

from kernel.contracts.queries import Select
from kernel.contracts.records import Records
from kernel.http import HeaderList, NotInline, Request, Response
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query
from plugins.rest.negotiation.accept import MediaType
from plugins.rest.negotiation.terms import Terms
from plugins.rest.rows import body_of, csv_of
from plugins.rest.writes import VARY


def is_wanted(terms: Terms) -> bool:
    """Tell whether a client wants a stream: lines of JSON are always one, and so is what it prefers as one."""
    return terms.media.lines or (terms.prefer.stream is not None and not terms.media.single)


def answer(
    records: Records, request: Request, terms: Terms, query: Query, select: Select, location: str
) -> Response:
    """Answer with a stream, which is begun: what the database refuses by then is an error of the usual kind.

    What it refuses later ends the answer before anything has been sent, or breaks it off.
    """
    if request.inline:
        raise NotInline
    if query.cursor is not None:
        raise RestError(400, "PGRST100", "A cursor does not go with a stream")
    parts = records.stream(select, request.identity)
    terms.watch.lap("transaction")
    headers: HeaderList = [
        *terms.profile,
        ("content-type", terms.media.content_type),
        ("content-location", location),
        VARY,
        *terms.prefer.without_count().applied("stream"),
    ]
    return terms.answer(_pieces(parts, terms.media), 200, headers)


def _pieces(parts: Iterator[list[str]], media: MediaType) -> Iterator[bytes]:
    if media.lines:
        for rows in parts:
            yield "".join(f"{row}\n" for row in rows).encode()
        return
    between, is_first = b"\n" if media.csv else b",", True
    if not media.csv:
        yield b"["
    for rows in parts:
        array = f"[{','.join(rows)}]".encode()
        piece = csv_of(array, named=is_first) if media.csv else body_of(array, media)[1:-1]
        yield piece if is_first else between + piece
        is_first = False
    if not media.csv:
        yield b"]"
    elif is_first:
        yield csv_of(b"[]")
