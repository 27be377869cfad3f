"""Pages that go on where the last one ended."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import Database

SCHEMA = """
create type mood as enum ('sad', 'fine', 'glad');
create table entries (
    a integer not null,
    b text not null,
    n numeric(10, 2),
    x double precision,
    flag boolean,
    moment timestamptz,
    m mood,
    doc jsonb,
    kept boolean not null default true,
    primary key (a, b)
);
create table children (id integer primary key, a integer, b text, foreign key (a, b) references entries (a, b));
create table keyless (a integer);
create table cursors (cursor text primary key);
"""


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: Any) -> Any:
    return make_rest_kernel(SCHEMA, role_by_header, rest={"aggregates": True})


@pytest.fixture
def client(kernel: Any) -> Any:
    client = kernel.client.with_headers({"x-role": "service_role"})
    for table, column in (("children", "id"), ("entries", "a"), ("cursors", "cursor")):
        client.delete(f"/rest/v1/{table}?{column}=not.is.null").expect(204)
    return client


def fill(client: Any, count: int) -> None:
    rows = [
        {"a": number, "b": "x", "n": number % 3 or None, "flag": number % 2 == 0} for number in range(count)
    ]
    client.post("/rest/v1/entries", json=rows).expect(201)


def pages(client: Any, query: str, **options: Any) -> Iterator[Any]:
    """Yield the replies of all pages, following the links."""
    address: str | None = f"/rest/v1/entries?{query}&cursor="
    while address is not None:
        reply = client.get(address, **options).expect(200)
        yield reply
        link = reply.header("link")
        assert (link is None) == (reply.header("next-cursor") is None)
        found = None if link is None else re.fullmatch(r'<(.*)>; rel="next"', link)
        assert link is None or found is not None
        address = None if found is None else found[1]


def test_links_lead_from_page_to_page(client: Any) -> None:
    fill(client, 7)
    replies = list(pages(client, "select=a&order=a.desc&limit=3&flag=not.is.null"))
    assert [[row["a"] for row in reply.json()] for reply in replies] == [[6, 5, 4], [3, 2, 1], [0]]
    assert replies[0].body == b'[{"a":6},{"a":5},{"a":4}]'


def test_the_answer_is_as_it_is_without_a_cursor(client: Any) -> None:
    fill(client, 2)
    client.post("/rest/v1/children", json={"id": 1, "a": 1, "b": "x"}).expect(201)
    plain = client.get("/rest/v1/entries?select=*,children(id)&order=a").expect(200)
    paged = client.get("/rest/v1/entries?select=*,children(id)&order=a&cursor=").expect(200)
    assert paged.json() == plain.json() and len(paged.json()) == 2
    csv = {"accept": "text/csv"}
    assert (
        client.get("/rest/v1/entries?order=a&limit=1&cursor=", headers=csv).body
        == client.get("/rest/v1/entries?order=a&limit=1", headers=csv).body
    )
    one = {"accept": "application/vnd.pgrst.object+json"}
    reply = client.get("/rest/v1/entries?select=a&limit=1&cursor=", headers=one)
    assert reply.expect(200).json() == {"a": 0}


def test_a_count_is_of_the_rows_that_are_left(client: Any) -> None:
    fill(client, 5)
    address = "/rest/v1/entries?select=a&limit=2&cursor="
    counted = {"prefer": "count=exact"}
    first = client.get(address, headers=counted).expect(206)
    second = client.get(address + first.header("next-cursor"), headers=counted).expect(206)
    assert (first.header("content-range"), second.header("content-range")) == ("0-1/5", "0-1/3")


def test_without_a_limit_there_is_no_next_page(client: Any) -> None:
    fill(client, 3)
    (reply,) = pages(client, "select=a")
    assert len(reply.json()) == 3


COLUMNS = ("a", "b", "n", "x", "flag", "moment", "m", "doc->>k")

row = st.fixed_dictionaries({
    "a": st.integers(0, 3),
    "b": st.text("ab é_", max_size=2),
    "n": st.sampled_from([None, "0.10", "-2", "1.5"]),
    "x": st.sampled_from([None, 0.1, -1e30, 1 / 3]),
    "flag": st.sampled_from([None, True, False]),
    "moment": st.sampled_from([None, "2024-01-01T00:00:00.000001Z", "2024-01-01T00:00:00Z", "0024-01-01T00:00:00Z"]),
    "m": st.sampled_from([None, "glad", "sad"]),
    "doc": st.sampled_from([None, {}, {"k": None}, {"k": "é"}, {"k": 1}, {"k": [1]}]),
    "kept": st.booleans(),
})  # fmt: skip
terms = st.lists(
    st.tuples(st.sampled_from(COLUMNS), st.sampled_from(["", ".asc", ".desc"]),
              st.sampled_from(["", ".nullsfirst", ".nullslast"])),
    max_size=3, unique_by=lambda term: term[0],
)  # fmt: skip


@given(
    rows=st.lists(row, max_size=12, unique_by=lambda one: (one["a"], one["b"])), terms=terms, data=st.data()
)
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_pages_hold_every_row_once_in_order_whatever_is_written_elsewhere(
    client: Any, rows: list[dict[str, Any]], terms: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    client.delete("/rest/v1/entries?a=not.is.null").expect(204)
    client.post("/rest/v1/entries", json=rows).expect(201)
    order = ",".join("".join(term) for term in terms)
    # The key breaks ties in the whole list as well.
    key = ",".join(name for name in ("a", "b") if name not in {term[0] for term in terms})
    whole = ",".join(part for part in (order, key) if part) or "a,b"
    expected = client.get(f"/rest/v1/entries?select=a,b&kept=is.true&order={whole}").expect(200).json()
    limit = data.draw(st.integers(1, 4))
    found = []
    for reply in pages(client, f"select=a,b,kept&limit={limit}" + (f"&order={order}" if order else "")):
        found += reply.json()
        assert len(reply.json()) <= limit
        match data.draw(st.sampled_from(["nothing", "insert", "delete"])):
            case "insert":
                other = {**data.draw(row), "kept": False}
                ignore = {"prefer": "resolution=ignore-duplicates"}
                client.post("/rest/v1/entries", json=other, headers=ignore)
            case "delete":
                client.delete(f"/rest/v1/entries?kept=is.false&a=eq.{data.draw(st.integers(0, 3))}").expect(
                    204
                )
    kept = [(one["a"], one["b"]) for one in found if one["kept"]]
    assert kept == [(one["a"], one["b"]) for one in expected]


def token(client: Any, query: str) -> str:
    cursor: str = client.get(f"/rest/v1/entries?{query}&limit=1&cursor=").expect(200).header("next-cursor")
    return cursor


def test_a_cursor_of_another_order_or_table_is_refused(client: Any) -> None:
    fill(client, 2)
    client.post("/rest/v1/cursors", json=[{"cursor": "x"}, {"cursor": "y"}]).expect(201)
    cursor = token(client, "order=a.desc")
    for address in ("entries?order=a", "entries", "cursors", "entries?order=a.desc,n"):
        joint = "&" if "?" in address else "?"
        error = client.get(f"/rest/v1/{address}{joint}limit=1&cursor={cursor}").expect(400).json()
        assert error["code"] == "PGRST100"
        assert error["message"].endswith("(line 1, column 1)")
        assert error["details"] == "it is of another table or another order"


@pytest.mark.parametrize(
    ("cursor", "column"),
    [("!", 1), ("ab$c", 3), ("abc", 4), ("é", 1), ("W10", 4), ("A" * 9000, 8193), ("W1tbW1tb" * 900, 7201)],
)
def test_what_is_no_cursor_is_refused_with_its_place(client: Any, cursor: str, column: int) -> None:
    error = client.get(f"/rest/v1/entries?cursor={cursor}").expect(400).json()
    assert error["code"] == "PGRST100"
    assert f"(line 1, column {column})" in error["message"]


def test_a_forged_value_is_read_as_a_filters_is(client: Any) -> None:
    fill(client, 3)
    digest, _ = msgspec.json.decode(base64.urlsafe_b64decode(token(client, "order=a") + "==="))
    for values in (["x", "x"], ["1; drop table entries", "x"], [None, None]):
        forged = base64.urlsafe_b64encode(msgspec.json.encode([digest, values])).rstrip(b"=").decode()
        reply = client.get(f"/rest/v1/entries?order=a&limit=1&cursor={forged}")
        assert reply.status == 400 or reply.json() == []
    assert len(client.get("/rest/v1/entries").json()) == 3


@pytest.mark.parametrize(
    "query",
    [
        "offset=1", "distinct=true", "select=count()", "select=a,children(id)&order=children(id)",
        "select=a:children(id)&order=a",
    ],
)  # fmt: skip
def test_what_leaves_no_place_to_go_on_is_refused(client: Any, query: str) -> None:
    error = client.get(f"/rest/v1/entries?{query}&cursor=").expect(400).json()
    assert error["message"].startswith("A cursor does not go with")


def test_a_table_without_a_key_has_no_cursor(client: Any) -> None:
    assert "primary key" in client.get("/rest/v1/keyless?cursor=").expect(400).json()["message"]


def test_a_column_of_that_name_is_filtered_by_as_any_other(client: Any) -> None:
    client.post("/rest/v1/cursors", json=[{"cursor": "x"}, {"cursor": "y"}]).expect(201)
    assert client.get("/rest/v1/cursors?cursor=eq.x").expect(200).json() == [{"cursor": "x"}]
    reply = client.get("/rest/v1/cursors?cursor=neq.z&cursor=&limit=1").expect(200)
    assert "cursor=neq.z" in reply.header("link")
    assert client.get(reply.header("link")[1:].partition(">")[0]).json() == [{"cursor": "y"}]


def test_the_next_page_is_found_by_the_index(kernel: Any, client: Any) -> None:
    database: Any = kernel.services[Database]
    if database.engine == "postgresql":
        pytest.skip("measured by SQLite's steps")
    fill(client, 2000)
    digest, _ = msgspec.json.decode(base64.urlsafe_b64decode(token(client, "order=a,b") + "==="))
    readers = [database.connections.reader(), database.connections.inline_reader()]
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    for reader in readers:
        reader.connection.set_progress_handler(count, 10)
    database.connections.returned(readers[0])
    database.connections.inline_returned(readers[1])
    for place in ("10", "1990"):
        cursor = base64.urlsafe_b64encode(msgspec.json.encode([digest, [place, "x"]])).rstrip(b"=").decode()
        client.get(f"/rest/v1/entries?order=a,b&limit=5&cursor={cursor}").expect(200)
    assert 0 < steps < 200
