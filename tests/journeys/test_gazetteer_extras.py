"""What headers and options add to the gazetteer's requests, through PyPI's `postgrest`, on both engines.

Formats, counts, limits on what a write touches, rights by policy; and of our own what PostgREST does not have: writes
sent again, writes on condition, pages by cursor.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from postgrest import APIError, CountMethod, ReturnMethod, SyncPostgrestClient

pytestmark = pytest.mark.long

Row = dict[str, Any]
Rows = list[Row]
Client = SyncPostgrestClient


@pytest.fixture
def heard(server: Any) -> Iterator[tuple[Client, list[httpx.Headers]]]:
    """A client, and the headers of all answers to it, which it keeps from its callers."""
    answers: list[httpx.Headers] = []
    with (
        httpx.Client(event_hooks={"response": [lambda answer: answers.append(answer.headers)]}) as http,
        SyncPostgrestClient(f"{server.url}/rest/v1", headers=server.headers, http_client=http) as client,
    ):
        yield client, answers


@pytest.fixture
def stranger(server: Any) -> Iterator[Client]:
    """A client with the anonymous key."""
    with SyncPostgrestClient(f"{server.url}/rest/v1", headers={"apikey": server.anon_key}) as client:
        yield client


@pytest.fixture
def notes(client: Client) -> Iterator[Any]:
    """Ask for the table of notes; it is empty before the test and after it."""
    yield lambda: client.from_("notes")
    client.from_("notes").delete(returning=ReturnMethod.minimal).gte("id", 0).execute()


def codes(rows: Rows) -> list[str]:
    return [row["iata"] for row in rows]


def refusal(query: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        query.execute()
    return caught.value


def test_csv_holds_the_same_rows(client: Client, source: dict[str, Rows]) -> None:
    query = client.from_("subdivisions").select("code", "name", "parent").order("code")
    answer = query.eq("country", "GB").csv().execute()
    rows = sorted(
        (row for row in source["subdivisions"] if row["country"] == "GB"), key=lambda row: row["code"]
    )
    assert list(csv.DictReader(io.StringIO(answer.data))) == [
        {"code": row["code"], "name": row["name"], "parent": row["parent"] or ""} for row in rows
    ]


def test_members_that_are_null_are_left_out_where_asked(client: Client, source: dict[str, Rows]) -> None:
    query = client.from_("former_countries").select("*").order("alpha_4").strip_nulls()
    assert query.execute().data == [
        {name: value for name, value in row.items() if value is not None}
        for row in sorted(source["former_countries"], key=lambda row: row["alpha_4"])
    ]


@pytest.mark.parametrize("count", CountMethod)
def test_every_way_to_count_gives_a_number(
    client: Client, source: dict[str, Rows], count: CountMethod
) -> None:
    answer = client.from_("countries").select("alpha_2", count=count).limit(1).execute()
    assert len(answer.data) == 1
    assert isinstance(answer.count, int)
    if count == CountMethod.exact:
        assert answer.count == len(source["countries"])


def test_writes_count_what_they_touched(notes: Any) -> None:
    rows = [{"airport": "KEF", "body": str(number)} for number in range(7)]
    made = notes().insert(rows, count=CountMethod.exact, returning=ReturnMethod.minimal).execute()
    assert (made.data, made.count) == ([], 7)
    changed = notes().update({"stars": 1}, count=CountMethod.exact).lt("body", "3").execute()
    assert (len(changed.data), changed.count) == (3, 3)
    assert notes().delete(count=CountMethod.exact).is_("stars", None).execute().count == 4


def test_a_write_that_touches_more_than_it_may_is_undone(notes: Any) -> None:
    notes().insert([{"airport": "KEF", "body": str(number)} for number in range(4)]).execute()
    for query in (notes().update({"stars": 1}), notes().delete()):
        error = refusal(query.eq("airport", "KEF").max_affected(3))
        assert error.code == "PGRST124"
    rows = notes().select("stars").execute().data
    assert rows == [{"stars": None}] * 4
    assert len(notes().update({"stars": 1}).eq("airport", "KEF").max_affected(4).execute().data) == 4


def test_what_some_of_many_rows_lack_is_null_or_the_default(notes: Any) -> None:
    rows = [
        {"airport": "KEF", "body": "1", "written_on": "2024-02-29"},
        {"airport": "KEF", "body": "2", "stars": 5},
    ]
    error = refusal(notes().insert(rows))
    assert error.code == "23502"
    assert "written_on" in str(error.message)
    first, second = notes().insert(rows, default_to_null=False).execute().data
    assert (first["written_on"], first["stars"], second["stars"]) == ("2024-02-29", None, 5)
    assert second["written_on"] is not None
    merged = [{"id": first["id"], "airport": "OSL", "body": "1"}, {"airport": "OSL", "body": "3", "stars": 2}]
    answer = notes().upsert(merged, default_to_null=False).execute()
    assert {row["id"] for row in answer.data} > {first["id"]}
    assert {row["airport"] for row in answer.data} == {"OSL"}
    assert len(notes().select("id").execute().data) == 3


def test_an_upsert_needs_a_key_to_conflict_on(client: Client) -> None:
    row = {"alpha_3": "QQQ", "numeric_code": "QQQ", "name": "Q"}
    assert refusal(client.from_("currencies").upsert(row, on_conflict="name")).code == "42P10"
    assert client.from_("currencies").select("*").eq("alpha_3", "QQQ").execute().data == []


def test_a_unique_violation_names_the_constraint_and_the_value(
    client: Client, source: dict[str, Rows]
) -> None:
    error = refusal(client.from_("currencies").insert(source["currencies"][0]))
    assert error.code == "23505"
    assert error.message == 'duplicate key value violates unique constraint "currencies_pkey"'
    assert error.details == f"Key (alpha_3)=({source['currencies'][0]['alpha_3']}) already exists."
    other = source["currencies"][0] | {"alpha_3": "QQQ"}
    error = refusal(client.from_("currencies").insert(other))
    assert "currencies_numeric_code_key" in str(error.message)


def test_strangers_write_and_read_what_the_policies_let_through(notes: Any, stranger: Client) -> None:
    minimal = ReturnMethod.minimal
    fair, bad = ({"airport": "KEF", "body": "b", "stars": stars} for stars in (3, 1))
    stranger.from_("notes").insert(fair, returning=minimal).execute()
    error = refusal(stranger.from_("notes").insert([fair, bad], returning=minimal))
    assert error.code == "42501"
    assert error.message == 'new row violates row-level security policy for table "notes"'
    assert refusal(stranger.from_("notes").insert(fair)).code == "42501"  # it may not read what it wrote
    good = stranger.from_("notes").insert(fair | {"stars": 4}).execute().data
    assert [row["stars"] for row in good] == [4]
    assert stranger.from_("notes").select("*").execute().data == good
    assert len(notes().select("id").execute().data) == 2
    for query in (stranger.from_("notes").update({"stars": 5}), stranger.from_("notes").delete()):
        assert refusal(query.gte("id", 0)).code == "42501"
    assert refusal(stranger.from_("notes").select("body,airports(name)")).code == "42501"


def test_a_write_sent_again_under_its_key_happens_once(
    notes: Any, heard: tuple[Client, list[httpx.Headers]]
) -> None:
    client, answers = heard
    key = str(uuid.uuid4())

    def send(body: str) -> Any:
        query = client.from_("notes").insert({"airport": "KEF", "body": body})
        query.request.headers["Idempotency-Key"] = key
        return query

    first, again = send("once").execute(), send("once").execute()
    assert again.data == first.data
    assert [answer.get("idempotency-replayed") for answer in answers] == [None, "true"]
    assert notes().select("*").execute().data == first.data
    assert refusal(send("twice")).code == "PGRST422"

    query = client.rpc("note", {"airport": "KEF", "body": "called"})
    query.request.headers["Idempotency-Key"] = str(uuid.uuid4())
    assert query.execute().data == query.execute().data
    assert len(notes().select("id").execute().data) == 2


def test_a_change_on_condition_is_refused_when_another_was_faster(
    notes: Any, heard: tuple[Client, list[httpx.Headers]]
) -> None:
    client, answers = heard
    number = notes().insert({"airport": "KEF", "body": "Windy.", "stars": 2.5}).execute().data[0]["id"]

    def change(stars: float, tag: str) -> Any:
        query = client.from_("notes").update({"stars": stars}).eq("id", number)
        query.request.headers["If-Match"] = tag
        return query

    client.from_("notes").select("*").eq("id", number).single().execute()
    tag = answers[-1]["etag"]
    assert change(3, tag).execute().data[0]["stars"] == 3
    assert refusal(change(4, tag)).code == "PGRST412"
    client.from_("notes").select("*").eq("id", number).execute()
    assert answers[-1]["etag"] != tag
    assert change(4, answers[-1]["etag"]).execute().data[0]["stars"] == 4


def test_cursors_lead_through_every_airport_whatever_is_deleted_on_the_way(
    client: Client, heard: tuple[Client, list[httpx.Headers]], source: dict[str, Rows]
) -> None:
    reader, answers = heard
    expected = sorted(source["airports"], key=lambda row: (-row["elevation"], row["country"], row["iata"]))
    rows: Rows = []
    cursor: str | None = ""
    extra = {"iata": "QQQ", "icao": "QQQQ", "name": "Q", "latitude": 1, "longitude": 1, "country": "IS"}
    extra |= {"time_zone": "Europe/London", "elevation": 29000}
    client.from_("airports").insert(extra).execute()
    while cursor is not None:
        query = reader.from_("airports").select("iata,elevation").order("elevation", desc=True)
        query = query.order("country").limit(1500)
        query.request.params = query.request.params.set("cursor", cursor)
        rows += query.execute().data
        # What was read is gone before the next page, which an offset would begin one row too late.
        client.from_("airports").delete().eq("iata", "QQQ").execute()
        cursor = answers[-1].get("next-cursor")
    assert codes(rows) == ["QQQ", *codes(expected)]
    assert len(answers) > 4
