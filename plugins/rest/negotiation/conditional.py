"""Conditional writes: only what a client has seen last is written over (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

from kernel.contracts.catalogue import Table
from kernel.contracts.queries import ALL, Condition, Field, Order, Select
from kernel.contracts.records import Page, Records
from kernel.http import Request
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query


def etag(page: Page, query: Query) -> str | None:
    """Return the tag of one row, read whole; None for anything else."""
    return _tag(page) if page.count == 1 and query.items == ALL else None


@contextmanager
def guarded(
    records: Records, request: Request, table: Table, where: tuple[Condition, ...]
) -> Iterator[Records]:
    """Yield records to write with, once the row that `where` finds is the one that If-Match names.

    The row is locked from then on, so that nobody else writes to it in between. Raises `RestError` 412.
    """
    wanted = request.headers.get("if-match")
    if wanted is None:
        yield records
        return
    order = tuple(Order(Field(name)) for name in table.primary_key)
    query = Select(table.name, table.schema, where=where, order=order, locked=True)
    with records.together(request.identity) as together:
        page = together.read(query, request.identity)
        tags = [tag.strip() for tag in wanted.split(",")]
        if not page.count or ("*" not in tags and _tag(page) not in tags):
            hint = "Read the row again, and write with the ETag that it has now."
            raise RestError(412, "PGRST412", "The row is not the one that If-Match names", hint=hint)
        yield together


def _tag(page: Page) -> str:
    return f'"{blake2b(page.body, digest_size=12).hexdigest()}"'
