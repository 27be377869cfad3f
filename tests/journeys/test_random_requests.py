"""Ten thousand random requests: a 4xx that says why, or the right answer; never a 500, never a hang."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Rows = list[dict[str, Any]]

TABLE = "/rest/v1/former_countries"
COLUMNS = {
    "alpha_4": str,
    "name": str,
    "numeric_code": str,
    "withdrawn_year": int,
    "withdrawn_on": str,
    "comment": str,
}


class Sent(msgspec.Struct, frozen=True):
    """A request; where `expected` is not None, it is valid and these are the answer's rows."""

    method: str
    target: str
    headers: dict[str, str] = {}
    body: bytes | None = None
    expected: Rows | None = None


@pytest.fixture(scope="module")
def connection(
    module_project: Path,
    module_engine: dict[str, str],
    serving: Callable[..., Any],
    wire: Callable[..., Any],
    source: dict[str, Rows],
) -> Iterator[Any]:
    with serving(module_project, **module_engine) as server, wire(server, timeout=10.0) as connection:
        body = json.dumps(source["former_countries"]).encode()
        reply = connection.request("POST", TABLE, {"content-type": "application/json"}, body)
        assert reply.status == 201, reply
        yield connection


def compare(operator: str, value: Any, other: Any) -> bool:
    """SQL's answer as a filter takes it: NULL compares to nothing."""
    if value is None:
        return False
    return {
        "eq": value == other,
        "neq": value != other,
        "gt": value > other,
        "gte": value >= other,
        "lt": value < other,
        "lte": value <= other,
    }[operator]


@st.composite
def valid_reads(draw: st.DrawFn, rows: Rows) -> Sent:
    """A query that the model answers: columns, filters on values that occur or nearly so, order and page."""
    kept = list(rows)
    terms = []
    for column in draw(st.lists(st.sampled_from(sorted(COLUMNS)), max_size=3)):
        occurring = sorted({row[column] for row in rows if row[column] is not None})
        if draw(st.integers(0, 4)) == 0:
            negated = draw(st.booleans())
            terms.append(f"{column}={'not.' if negated else ''}is.null")
            kept = [row for row in kept if (row[column] is None) != negated]
            continue
        value = draw(st.sampled_from(occurring))
        if column == "withdrawn_year":
            value += draw(st.integers(-2, 2))
        elif column not in ("withdrawn_on",) and draw(st.booleans()):
            value = value[: draw(st.integers(0, len(value)))]
        operator = draw(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]))
        terms.append(f"{column}={operator}.{quote(str(value), safe='')}")
        kept = [row for row in kept if compare(operator, row[column], value)]
    chosen = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True))
    descending = draw(st.booleans())
    kept.sort(key=lambda row: row["alpha_4"], reverse=descending)
    offset, limit = draw(st.integers(0, 5)), draw(st.integers(0, 40))
    terms += [
        f"select={','.join(chosen)}",
        f"order=alpha_4.{'desc' if descending else 'asc'}",
        f"limit={limit}",
        f"offset={offset}",
    ]
    expected = [{name: row[name] for name in chosen} for row in kept[offset : offset + limit]]
    return Sent("GET", f"{TABLE}?{'&'.join(draw(st.permutations(terms)))}", expected=expected)


WORDS = st.sampled_from(
    [
        "select",
        "order",
        "limit",
        "offset",
        "and",
        "or",
        "not",
        "on_conflict",
        "columns",
        "eq",
        "in",
        "is",
        "like",
        "ilike",
        "gt",
        "lte",
        "match",
        "fts",
        "cs",
        "any",
        "null",
        "true",
        "asc",
        "desc",
        "nullsfirst",
        "alpha_4",
        "name",
        "withdrawn_year",
        "withdrawn_on",
        "numeric_code",
        "countries",
        "count()",
        "::text",
        "::int",
        "->",
        "->>",
        "*",
        "...",
        "!inner",
        ",",
        ".",
        "(",
        ")",
        "{",
        "}",
        '"',
        "\\",
        "%",
        "=",
        "&",
        "-",
        "1",
        "-1",
        "9" * 30,
        "1e5",
        "1975",
        "1990-10-30",
        "'",
        ";",
        " ",
        "+",
        "\u00e9",
        "\u0000",
        "🏴",
    ]
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JUMBLE = st.lists(WORDS | TEXT, max_size=10).map("".join)
ENCODED = JUMBLE.map(lambda text: quote(text, safe='.,()*:!->"&=+'))
RAW = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
METHODS = st.sampled_from(
    ["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PATCH", "PUT", "DELETE", "TRACE", "BREW"]
)
TABLES = st.sampled_from(["former_countries", "countries", "notes", "airports", "nothing", "rpc/f", ""])
TARGETS = (
    st.tuples(TABLES, ENCODED).map(lambda pair: f"/rest/v1/{pair[0]}?{pair[1]}")
    | st.tuples(TABLES, st.sampled_from(sorted(COLUMNS)), ENCODED).map(
        lambda parts: f"/rest/v1/{parts[0]}?{parts[1]}={parts[2]}"
    )
    | st.tuples(TABLES, ENCODED, ENCODED).map(lambda parts: f"/rest/v1/{parts[0]}?{parts[1]}={parts[2]}")
    | RAW.map(lambda text: "/" + text)
    | ENCODED.map(lambda text: "/" + text)
)
HEADER_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "accept",
            "content-type",
            "prefer",
            "range",
            "accept-profile",
            "content-profile",
            "if-none-match",
            "origin",
            "authorization",
            "apikey",
            "cookie",
            "x-request-id",
            "traceparent",
            "access-control-request-method",
        ]
    ),
    HEADER_TEXT
    | st.sampled_from(
        [
            "application/json",
            "text/csv",
            "application/vnd.pgrst.object+json",
            "return=representation",
            "count=exact,return=minimal",
            "resolution=merge-duplicates",
            "missing=default",
            "tx=rollback",
            "0-4",
            "5-2",
            "public",
        ]
    ),
    max_size=3,
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
NAMES = st.sampled_from(["id", "airport", "body", "stars", "written_on", "alpha_2", "name"]) | TEXT
OBJECTS = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2), max_size=4)
DOCUMENTS = OBJECTS | st.lists(OBJECTS, max_size=3) | st.recursive(SCALARS, st.lists, max_leaves=4)
BODIES = DOCUMENTS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@st.composite
def any_requests(draw: st.DrawFn) -> Sent:
    """Anything; the rows that the model knows are read and never written."""
    method, target = draw(METHODS), draw(TARGETS)
    body = draw(BODIES) if method in ("POST", "PATCH", "PUT", "DELETE") else None
    headers = draw(HEADERS)
    if body is not None and draw(st.integers(0, 3)):
        headers = {"content-type": "application/json", **headers}
    if method not in ("GET", "HEAD", "OPTIONS") and "former_countries" in target:
        method = "GET"
        body = None
    return Sent(method, target, headers, body)


def check(connection: Any, sent: Sent) -> None:
    reply = connection.request(sent.method, sent.target, sent.headers, sent.body)
    if sent.expected is not None:
        assert reply is not None
        assert reply.status == 200, (sent, reply)
        assert reply.json() == sent.expected, sent
        return
    if reply is None:
        return
    assert reply.status < 500, (sent, reply)
    if reply.status >= 400 and sent.method != "HEAD" and reply.body:
        error = reply.json()
        assert error.get("message") or error.get("detail") or error.get("title"), (sent, reply)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_random_requests_get_their_answer_or_a_refusal(
    connection: Any, source: dict[str, Rows]
) -> None:
    different: set[tuple[Any, ...]] = set()

    @settings(
        max_examples=10_000,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(valid_reads(source["former_countries"]) | any_requests())
    def ask(sent: Sent) -> None:
        check(connection, sent)
        different.add((sent.method, sent.target, str(sent.headers), sent.body))

    ask()
    assert len(different) > 9_000, f"hypothesis made {len(different)} different requests only"
