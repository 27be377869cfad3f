"""Prefer, Accept and Range."""

from __future__ import annotations

import pytest

from kernel.http import Request
from kernel.testing.client import Headers
from plugins.rest.errors import RestError
from plugins.rest.language.query import Query
from plugins.rest.negotiation.accept import JSON, MediaType, wanted
from plugins.rest.negotiation.prefer import NONE, Preferences, preferences
from plugins.rest.negotiation.ranges import content_range, status, window
from plugins.rest.rows import body_of


def request(*headers: tuple[str, str]) -> Request:
    return Request("GET", "/rest/v1/t", "", Headers(headers))


def _preferences(asked: Request) -> Preferences:
    return preferences(asked, tx=False, zones=True)


def test_preferences_come_from_all_headers_and_the_first_counts() -> None:
    found = _preferences(
        request(
            ("Prefer", "return=minimal, count=exact"), ("Prefer", "return=representation,missing=default")
        )
    )
    assert found == Preferences(returns="minimal", count="exact", missing="default")


def test_no_header_no_preferences() -> None:
    assert _preferences(request()) is NONE


@pytest.mark.parametrize(
    "header", ["nope", "return=nope", "max-affected=x", "count", "return=", "max-affected=-1"]
)
def test_unknown_preferences_are_ignored_unless_handling_is_strict(header: str) -> None:
    assert _preferences(request(("prefer", header))) == NONE
    with pytest.raises(RestError) as caught:
        _preferences(request(("prefer", f"handling=strict, {header}")))
    assert caught.value.code == "PGRST122"


def test_max_affected_needs_strict_handling() -> None:
    assert _preferences(request(("prefer", "max-affected=3"))).max_affected is None
    assert _preferences(request(("prefer", "max-affected=3,handling=strict"))).max_affected == 3


def test_a_transaction_s_end_may_be_preferred_only_where_that_is_allowed() -> None:
    asked = request(("prefer", "tx=rollback, handling=strict"))
    assert preferences(asked, tx=True, zones=False).tx == "rollback"
    assert preferences(asked, tx=False, zones=True).tx is None


def test_what_was_applied_is_said_in_postgrest_s_order() -> None:
    found = preferences(
        request(
            ("prefer", "max-affected=3, handling=strict, tx=commit, count=exact, return=minimal"),
            ("prefer", "missing=default, resolution=merge-duplicates"),
        ),
        tx=True,
        zones=False,
    )
    everywhere = "count=exact, tx=commit, handling=strict"
    assert found.applied() == [("preference-applied", everywhere)]
    assert found.applied("max-affected", "resolution", "return", "missing") == [
        (
            "preference-applied",
            "resolution=merge-duplicates, missing=default, return=minimal, "
            + everywhere
            + ", max-affected=3",
        )
    ]
    assert NONE.applied("return") == []


OBJECT = "application/vnd.pgrst.object+json"
STRIPPED = ";nulls=stripped"


@pytest.mark.parametrize(
    ("header", "content_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("text/html, application/json;q=0.9", "application/json"),
        (OBJECT, OBJECT),
        ("application/vnd.pgrst.object", OBJECT),
        ("ApplicatIon/vnd.PgRsT.object+json", OBJECT),
        (f"application/json;q=0.1, {OBJECT};q=0.5", OBJECT),
        (f"application/json; q=0.1, {OBJECT}; q=0.5", OBJECT),
        (f"*/*, {OBJECT}", OBJECT),
        (f"{OBJECT};q=x, */*", OBJECT),
        (f"{OBJECT};q=0, */*", "application/json"),
        ("application/vnd.pgrst.array+json", "application/json"),
        ("application/vnd.pgrst.array; nulls=stripped", "application/vnd.pgrst.array+json" + STRIPPED),
        (OBJECT + STRIPPED, OBJECT + STRIPPED),
        ("application/json;nulls=stripped", "application/json"),
    ],
)
def test_accept(header: str | None, content_type: str) -> None:
    media = wanted(request(*([] if header is None else [("accept", header)])), plans=False)
    assert media.content_type == f"{content_type}; charset=utf-8"
    assert media.single == content_type.startswith(OBJECT)
    assert media.stripped == content_type.endswith(STRIPPED)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("text/html, image/*", "text/html, image/*"),
        ("image/*, text/html;q=0.5", "image/*, text/html"),
        ("application/geo+json", "application/geo+json"),
        ("application/vnd.pgrst.plan+json", "application/vnd.pgrst.plan+json"),
        ("application/json;q=0", "application/json"),
    ],
)
def test_what_cannot_be_served_is_406(header: str, said: str) -> None:
    with pytest.raises(RestError) as caught:
        wanted(request(("accept", header)), plans=False)
    error = caught.value
    assert (error.status, error.code) == (406, "PGRST107")
    assert error.message == f"None of these media types are available: {said}"


@pytest.mark.parametrize(
    ("rows", "body"),
    [
        (b"[]", b"[]"),
        (b'[{"a":null}]', b"[{}]"),
        (b'[{"a":1.50,"b":null,"c":[null,{"d":null,"e":"null"}]}]', b'[{"a":1.50,"c":[null,{"e":"null"}]}]'),
        (
            b'[{"a": {"b" : null }},{"n":12345678901234567890.10}]',
            b'[{"a":{}},{"n":12345678901234567890.10}]',
        ),
    ],
)
def test_members_that_are_null_are_left_out_everywhere(rows: bytes, body: bytes) -> None:
    assert body_of(rows, MediaType("x", stripped=True)) == body
    assert body_of(rows, JSON) == rows


def test_json_that_nests_too_deep_to_strip_is_refused() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    with pytest.raises(RestError) as caught:
        body_of(deep, MediaType("x", stripped=True))
    assert caught.value.status == 400


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
    with pytest.raises(RestError, match="not satisfiable") as caught:
        status(10, 0, 9)
    assert caught.value.headers == [("content-range", "*/9")]
