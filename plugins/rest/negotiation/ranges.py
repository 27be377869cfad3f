"""Which rows of a result a request asks for, and the Content-Range that says which it got."""

from __future__ import annotations

import re

from plugins.rest.errors import bad_range
from plugins.rest.language.query import Query

_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{0,18})")


def window(query: Query, range_header: str | None, max_rows: int | None) -> tuple[int, int | None]:
    """Return offset and limit: the query's, within those of a Range header, and at most `max_rows`.

    Raises `RestError` PGRST103 where that makes no sense; a malformed header is ignored.
    """
    offset, limit = query.offset, query.limit
    if limit is not None and limit < 0:
        raise bad_range("Limit should be greater than or equal to zero.")
    asked = None if range_header is None else _RANGE.fullmatch(range_header.strip())
    if asked is not None and limit != 0:
        offset, limit = _within(offset, limit, int(asked[1]), int(asked[2]) if asked[2] else None)
    if max_rows is not None:
        limit = max_rows if limit is None else min(limit, max_rows)
    return offset, limit


def _within(offset: int, limit: int | None, first: int, last: int | None) -> tuple[int, int | None]:
    ends = [end for end in (None if limit is None else offset + limit - 1, last) if end is not None]
    start = max(offset, first)
    if not ends:
        return start, None
    if min(ends) < start:
        raise bad_range(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    return start, min(ends) - start + 1


def content_range(offset: int, count: int, total: int | None) -> str:
    """Return the header's value for `count` rows from `offset` on."""
    rows = f"{offset}-{offset + count - 1}" if count and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}"


def status(offset: int, count: int, total: int | None) -> int:
    """Return 200 for all rows, 206 for some of them; raises `RestError` PGRST103 past the end."""
    if total is None:
        return 200
    if offset > total:
        error = bad_range(f"An offset of {offset} was requested, but there are only {total} rows.")
        error.headers.append(("content-range", f"*/{total}"))
        raise error
    return 206 if count < total else 200
