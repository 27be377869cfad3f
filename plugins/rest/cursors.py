"""Cursors: pages that go on where the last one ended, whatever has been written since.

A cursor holds the values that its page's last row is ordered by, as text. The next page is the rows after these, which
an index finds without counting those before. It holds nothing that the client did not see, or could not ask for by a
filter: so it is checked, but not secret.
"""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import Any

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.queries import (
    Aggregate,
    Comparison,
    Condition,
    Embed,
    Field,
    Is,
    Item,
    Logic,
    Order,
    Select,
)
from kernel.contracts.records import Page, Records
from kernel.http import HeaderList, Request, TooLong
from plugins.rest.errors import RestError
from plugins.rest.language.query import is_cursor
from plugins.rest.rows import LARGEST_INLINE
from plugins.rest.writes import location

LONGEST = 8_192
"""How many characters a cursor may have."""

# No client's name begins so: the members are taken out again.
_HIDDEN = "\u0001"
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")

Values = tuple[str | None, ...]

_decode_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_text = msgspec.json.Decoder(str | None).decode
_decode_token = msgspec.json.Decoder(tuple[str, Values]).decode
_encode = msgspec.json.Encoder().encode


def read(records: Records, request: Request, select: Select, cursor: str) -> tuple[Page, HeaderList]:
    """Read the page that begins after `cursor`, at the first row if that is empty; raises `RestError`.

    With it come the headers that lead to the next one, if there may be one.
    """
    _refuse_what_has_no_place(select)
    table = records.table(select.table, select.schema, request.identity)
    order = _total_order(table, select)
    digest = _digest(select, order)
    where = select.where
    if cursor:
        where = (*where, _after(table, order, _values(cursor, digest, len(order))))
    hidden = tuple(Item(term.field, f"{_HIDDEN}{place}", "text") for place, term in enumerate(order))
    paged = msgspec.structs.replace(select, items=select.items + hidden, where=where, order=order)
    page = records.read(paged, request.identity, inline=request.inline)
    if request.inline and len(page.body) > LARGEST_INLINE:
        raise TooLong
    rows = _decode_rows(page.body)
    last: Values = ()
    for row in rows:
        last = tuple(_decode_text(row.pop(item.alias or "")) for item in hidden)
    shown = Page(_encode(rows), page.count, page.total)
    if select.limit is None or page.count < select.limit or not rows:
        return shown, []
    token = base64.urlsafe_b64encode(_encode([digest, last])).rstrip(b"=").decode()
    return shown, [("next-cursor", token), ("link", f'<{_address(request, select, token)}>; rel="next"')]


def _refuse_what_has_no_place(select: Select) -> None:
    """Refuse what leaves no row to go on after."""
    if select.offset:
        raise _refusal("offset, or a Range that does not begin at 0")
    if select.distinct or any(isinstance(item, Aggregate) for item in select.items):
        raise _refusal("distinct and aggregates")
    names = {item.alias or item.relation for item in select.items if isinstance(item, Embed)}
    for term in select.order:
        if term.related is not None:
            raise _refusal("an order by a related row's column")
        if term.field.column in names:
            raise _refusal(f"an order by '{term.field.column}', which is also the name of related rows")


def _refusal(what: str) -> RestError:
    return RestError(400, "PGRST100", f"A cursor does not go with {what}")


def _total_order(table: Table, select: Select) -> tuple[Order, ...]:
    """Return the order with ties broken by the primary key."""
    if not table.primary_key:
        hint = "Page by limit and offset, or give it a primary key."
        raise RestError(400, "PGRST100", f"'{table.name}' has no primary key for a cursor", hint=hint)
    plain = {term.field.column for term in select.order if not term.field.path}
    return select.order + tuple(Order(Field(name)) for name in table.primary_key if name not in plain)


def _digest(select: Select, order: tuple[Order, ...]) -> str:
    """Return what tells a cursor's table and order from others."""
    return blake2b(_encode([select.schema, select.table, order]), digest_size=6).hexdigest()


def _values(cursor: str, digest: str, count: int) -> Values:
    """Read a cursor; raises `RestError` PGRST100 with the place where it is wrong."""
    good = _ALPHABET.match(cursor)
    end = 0 if good is None else good.end()
    if end < len(cursor):
        raise _unreadable(cursor, end, f'unexpected "{cursor[end]}"')
    if len(cursor) > LONGEST:
        raise _unreadable(cursor[:20] + "…", LONGEST, f"a cursor has at most {LONGEST} characters")
    try:
        found, values = _decode_token(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise _unreadable(cursor, len(cursor), "it is not whole") from error
    if found != digest or len(values) != count:
        raise _unreadable(cursor, 0, "it is of another table or another order")
    return values


def _unreadable(cursor: str, place: int, details: str) -> RestError:
    message = f'"failed to parse cursor ({cursor})" (line 1, column {place + 1})'
    hint = "Use the Next-Cursor of the page before, with the same order; begin with an empty one."
    return RestError(400, "PGRST100", message, details, hint)


def _after(table: Table, order: tuple[Order, ...], values: Values) -> Condition:
    """Return the condition that a row comes after the one with these values."""
    ways: list[Condition] = []
    same: list[Condition] = []
    for term, value in zip(order, values, strict=True):
        if (later := _later(table, term, value)) is not None:
            ways.append(_joined("and", [*same, later]))
        same.append(_equal(term, value))
    if not ways:  # no row has such values: its key has none that is null
        return Is(order[-1].field, "null")
    condition = _joined("or", ways)
    # An index is entered where the first term's value is; "or" alone would have it read from its beginning.
    first = values[0]
    if first is None or len(ways) < 2 or _comes_with_nulls(table, order[0]):
        return condition
    operator: Any = "lte" if order[0].descending else "gte"
    return _joined("and", [Comparison(order[0].field, operator, first), condition])


def _later(table: Table, term: Order, value: str | None) -> Condition | None:
    """Return the condition that a row comes after a value by one term; None where nothing does."""
    if value is None:
        return None if _nulls_last(term) else Is(term.field, "not_null")
    operator: Any = "lt" if term.descending else "gt"
    beyond = Comparison(term.field, operator, value)
    return _joined("or", [beyond, Is(term.field, "null")]) if _comes_with_nulls(table, term) else beyond


def _equal(term: Order, value: str | None) -> Condition:
    return Is(term.field, "null") if value is None else Comparison(term.field, "eq", value)


def _comes_with_nulls(table: Table, term: Order) -> bool:
    """Tell whether there may be nulls after the values."""
    column = table.columns.get(term.field.column)
    return _nulls_last(term) and (bool(term.field.path) or column is None or column.nullable)


def _nulls_last(term: Order) -> bool:
    return term.nulls == "last" if term.nulls is not None else not term.descending


def _joined(operator: Any, conditions: list[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else Logic(operator, tuple(conditions))


def _address(request: Request, select: Select, token: str) -> str:
    kept = [part for part in request.query.split("&") if not is_cursor(*part.partition("=")[::2])]
    return f"/rest/v1{location(select.table, '&'.join([*kept, f'cursor={token}']))}"
