"""Prefer, Accept and Range."""

from __future__ import annotations

import pytest

from kernel.http import Request
from kernel.testing.client import Headers
from plugins.rest.accept import wanted_shape
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query
from plugins.rest.prefer import NONE, Preferences, preferences
from plugins.rest.ranges import content_range, status, window


def request(*headers: tuple[str, str]) -> Request:
    return Request("GET", "/rest/v1/t", "", Headers(headers))


def test_preferences_come_from_all_headers_and_the_first_counts() -> None:
    found = preferences(
        request(
            ("Prefer", "return=minimal, count=exact"), ("Prefer", "return=representation,missing=default")
        )
    )
    assert found == Preferences(returns="minimal", count="exact", missing="default")


def test_no_header_no_preferences() -> None:
    assert preferences(request()) is NONE


@pytest.mark.parametrize(
    "header", ["nope", "return=nope", "max-affected=x", "count", "return=", "max-affected=-1"]
)
def test_unknown_preferences_are_ignored_unless_handling_is_strict(header: str) -> None:
    assert preferences(request(("prefer", header))) == NONE
    with pytest.raises(RestError) as caught:
        preferences(request(("prefer", f"handling=strict, {header}")))
    assert caught.value.code == "PGRST122"


def test_max_affected_needs_strict_handling() -> None:
    assert preferences(request(("prefer", "max-affected=3"))).max_affected is None
    assert preferences(request(("prefer", "max-affected=3,handling=strict"))).max_affected == 3


def test_what_was_applied_is_said_in_the_order_asked() -> None:
    found = Preferences(returns="minimal", count="exact", resolution="merge-duplicates")
    assert found.applied("resolution", "missing", "return", "count") == [
        ("preference-applied", "resolution=merge-duplicates, return=minimal, count=exact")
    ]
    assert NONE.applied("return", "count") == []


@pytest.mark.parametrize(
    ("header", "shape"),
    [
        (None, "array"),
        ("", "array"),
        ("*/*", "array"),
        ("application/json", "array"),
        ("text/html, application/json;q=0.9", "array"),
        ("application/vnd.pgrst.object+json", "object"),
        ("application/vnd.pgrst.object", "object"),
        ("application/json;q=0.1, application/vnd.pgrst.object+json;q=0.5", "object"),
        ("application/vnd.pgrst.object+json;q=x, */*", "array"),
        ("application/vnd.pgrst.array+json", "array"),
    ],
)
def test_accept(header: str | None, shape: str) -> None:
    assert wanted_shape(request(*([] if header is None else [("accept", header)]))) == shape


@pytest.mark.parametrize(
    "header", ["text/csv", "text/html, image/*", "application/vnd.pgrst.object+json;nulls=stripped"]
)
def test_what_cannot_be_served_is_406(header: str) -> None:
    with pytest.raises(RestError) as caught:
        wanted_shape(request(("accept", header)))
    assert (caught.value.status, caught.value.code) == (406, "PGRST107")


@pytest.mark.parametrize(
    ("limit", "offset", "header", "most", "expected"),
    [
        (None, 0, None, None, (0, None)),
        (5, 2, None, None, (2, 5)),
        (0, 0, "0-1", None, (0, 0)),
        (None, 0, "5-9", None, (5, 5)),
        (None, 0, "5-", None, (5, None)),
        (3, 4, "5-9", None, (5, 2)),
        (None, 0, "rows=5-9", None, (0, None)),
        (None, 0, "-5", None, (0, None)),
        (None, 0, None, 10, (0, 10)),
        (20, 0, None, 10, (0, 10)),
        (None, 0, "0-99", 10, (0, 10)),
    ],
)
def test_window(
    limit: int | None, offset: int, header: str | None, most: int | None, expected: tuple[int, int | None]
) -> None:
    assert window(Query(limit=limit, offset=offset), header, most) == expected


@pytest.mark.parametrize(("limit", "header"), [(-1, None), (None, "9-5"), (3, "5-9")])
def test_impossible_windows(limit: int | None, header: str | None) -> None:
    with pytest.raises(RestError) as caught:
        window(Query(limit=limit), header, None)
    assert (caught.value.status, caught.value.code) == (416, "PGRST103")


@pytest.mark.parametrize(
    ("offset", "count", "total", "header", "code"),
    [
        (0, 3, None, "0-2/*", 200),
        (0, 0, None, "*/*", 200),
        (2, 3, 9, "2-4/9", 206),
        (0, 9, 9, "0-8/9", 200),
        (9, 0, 9, "*/9", 206),
        (0, 0, 0, "*/0", 200),
    ],
)
def test_content_range_and_status(offset: int, count: int, total: int | None, header: str, code: int) -> None:
    assert content_range(offset, count, total) == header
    assert status(offset, count, total) == code


def test_an_offset_past_the_total_is_416() -> None:
    with pytest.raises(RestError, match="not satisfiable"):
        status(10, 0, 9)
