"""What every write has in common: what it returns, and how its answer is made."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.queries import Conflict, Field, Item, Selected
from kernel.contracts.records import Written
from kernel.http import Response
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query
from plugins.rest.negotiation.terms import Terms
from plugins.rest.payload import Payload
from plugins.rest.rows import body_of

VARY = ("vary", "Accept, Prefer, Range")

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Write(msgspec.Struct, frozen=True):
    """One write: the table, what the query string says, and the terms of the answer."""

    table: Table
    query: Query
    terms: Terms

    def returning(self) -> tuple[Selected, ...] | None:
        """Return what the write is to return: what was selected, or for a Location header the key."""
        returns = self.terms.prefer.returns
        if returns == "representation":
            return self.query.items
        if returns == "headers-only" and self.table.primary_key:
            return tuple(Item(Field(name)) for name in self.table.primary_key)
        return None

    def conflict(self) -> Conflict | None:
        """Return what an insert is to do with rows that are there already."""
        resolution = self.terms.prefer.resolution
        if resolution is None or not (self.query.on_conflict or self.table.primary_key):
            return None
        action = resolution.partition("-")[0]
        return Conflict("merge" if action == "merge" else "ignore", self.query.on_conflict or ())

    def total(self, written: Written) -> int | None:
        """Return how many rows were written, if it was asked for; none are planned."""
        return written.count if self.terms.prefer.count in ("exact", "estimated") else None

    def status(self) -> int:
        """Return the status of an update or a delete."""
        return 200 if self.terms.prefer.returns == "representation" else 204

    def answer(self, written: Written, status: int, content_range: str | None, *applied: str) -> Response:
        """Return the answer; `applied` are the preferences of this write that were obeyed."""
        terms = self.terms
        terms.watch.lap("transaction")
        if terms.media.explain is not None:
            return terms.explained(written.body)
        headers = [*terms.profile, *terms.prefer.applied("return", *applied), VARY]
        if content_range is not None:
            headers.append(("content-range", content_range))
        body = b""
        if terms.prefer.returns == "representation":
            body = body_of(written.body, terms.media)
            headers.append(("content-type", terms.media.content_type))
        elif status == 201 and written.count == 1 and written.body:
            headers.append(("location", self._location(written)))
        return terms.answer(body, status, headers)

    def _location(self, written: Written) -> str:
        key = _decode(written.body)[0]
        filters = {name: "is.null" if value is None else f"eq.{_plain(value)}" for name, value in key.items()}
        return location(self.table.name, urlencode(filters))


def location(table: str, query: str) -> str:
    """Return the address of a table's rows, below that of the API."""
    name = table if table.isascii() and table.isidentifier() else quote(table)
    return f"/{name}?{query}" if query else f"/{name}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_keys(rows: Payload, keys: dict[str, str]) -> None:
    """Demand that the body's first row has the key that is in the URL; raises `RestError` PGRST115."""
    if rows.rows:
        row = rows.rows[0]
        values = {name: _text(row[name]) for name in keys if name in row and bytes(row[name]) != b"null"}
        if values == keys:
            return
    raise RestError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def _text(raw: msgspec.Raw) -> str:
    value = bytes(raw)
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()
