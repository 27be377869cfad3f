"""The gazetteer's functions, called through PyPI's `postgrest` by POST and by GET, on both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgrest import APIError, CountMethod, SyncPostgrestClient

pytestmark = pytest.mark.long

Row = dict[str, Any]
Rows = list[Row]
Client = SyncPostgrestClient


@pytest.fixture(params=[False, True], ids=["post", "get"])
def call(request: pytest.FixtureRequest, client: Client) -> Callable[..., Any]:
    """Call a function by either method."""
    return lambda name, **arguments: client.rpc(name, arguments, get=request.param)


@pytest.fixture
def no_notes(client: Client) -> Iterator[None]:
    """Nobody finds notes, and nobody leaves any."""
    yield
    client.from_("notes").delete().gte("id", 0).execute()


def codes(rows: Rows) -> list[str]:
    return sorted(row["iata"] for row in rows)


def test_one_value_stands_bare(call: Callable[..., Any], source: dict[str, Rows]) -> None:
    numbers = Counter(row["country"] for row in source["airports"])
    for country in ("BR", "IS", "XX"):
        assert call("airports_in", country=country).execute().data == numbers[country]


def test_a_set_of_rows_is_filtered_ordered_cut_and_counted_as_a_table_is(
    call: Callable[..., Any], client: Client, source: dict[str, Rows]
) -> None:
    names = {row["alpha_2"]: row["name"] for row in source["countries"]}
    rows = [row for row in source["airports"] if 60 <= row["latitude"] < 66 and row["country"] != "US"]
    rows.sort(key=lambda row: (-row["latitude"], row["iata"]))
    query = call("airports_between", south=60, north=66).select("iata", "latitude", "countries(name)")
    query = query.neq("country", "US").order("latitude", desc=True).order("iata").range(10, 29)
    assert query.execute().data == [
        {"iata": row["iata"], "latitude": row["latitude"], "countries": {"name": names[row["country"]]}}
        for row in rows[10:30]
    ]
    counted = client.rpc("airports_between", {"south": 60, "north": 66}, count=CountMethod.exact, head=True)
    assert counted.neq("country", "US").execute().count == len(rows)


def test_an_argument_left_out_has_its_default(call: Callable[..., Any], source: dict[str, Rows]) -> None:
    answer = call("airports_between", south=70).select("iata").order("iata").execute()
    assert [row["iata"] for row in answer.data] == codes(
        [row for row in source["airports"] if row["latitude"] >= 70]
    )


def test_lists_and_documents_are_arguments(call: Callable[..., Any], source: dict[str, Rows]) -> None:
    among = [row["iata"] for row in source["airports"][::50]]
    rows = [row for row in source["airports"] if row["iata"] in among and row["elevation"] >= 1000.5]
    query = call("airports_among", codes=[*among, 'a "b", {c}'], options={"lowest": 1000.5})
    assert [row["iata"] for row in query.select("iata").order("iata").execute().data] == codes(rows)
    countries = ["US", "CN"]
    both = {"lowest": 1000.5, "countries": countries}
    query = call("airports_among", codes=among, options=both).select("iata").order("iata")
    chosen = [row for row in rows if row["country"] in countries]
    assert 0 < len(chosen) < len(rows)
    assert [row["iata"] for row in query.execute().data] == codes(chosen)
    assert call("airports_among", codes=[], options=both).execute().data == []


def test_a_table_that_a_function_makes_is_selected_from(
    call: Callable[..., Any], source: dict[str, Rows]
) -> None:
    numbers = Counter(row["hours_ahead"] for row in source["time_zones"])
    several = [{"h": hours, "zones": number} for hours, number in sorted(numbers.items()) if number >= 5]
    query = call("time_zones_by_hour").select("h:hours", "zones").gte("zones", 5).order("hours")
    assert query.execute().data == several
    widest = max(numbers.items(), key=lambda item: item[1])
    one = call("time_zones_by_hour").select("*").order("zones", desc=True).limit(1).single().execute()
    assert one.data == {"hours": widest[0], "zones": widest[1]}


@pytest.mark.usefixtures("no_notes")
def test_a_function_that_writes_does_so_by_post_and_not_by_get(client: Client) -> None:
    arguments = {"airport": "KEF", "body": 'Wind, "rain" & 雪'}
    with pytest.raises(APIError) as caught:
        client.rpc("note", arguments, get=True).execute()
    assert caught.value.code == "25006"
    assert client.from_("notes").select("id").execute().data == []

    made = client.rpc("note", arguments).execute().data
    assert {name: made[name] for name in ("airport", "body", "stars")} == arguments | {"stars": 3}
    other = client.rpc("note", arguments | {"stars": None}).select("stars", "airports(name)").execute().data
    named = client.from_("airports").select("name").eq("iata", "KEF").single().execute().data
    assert other == {"stars": None, "airports": named}
    assert len(client.from_("notes").select("id").execute().data) == 2

    assert (
        client.rpc("forget_notes", {"airport": "KEF"}).execute().data == []
    )  # 204: the client's word for nothing
    assert client.from_("notes").select("id").execute().data == []


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("note", {"airport": "KEF", "body": ""}, "23514"),
        ("note", {"airport": "XXX", "body": "Where?"}, "23503"),
        ("airports_between", {"south": "pole"}, "22P02"),
        ("airports_between", {}, "PGRST202"),
        ("airports_in", {"land": "IS"}, "PGRST202"),
        ("airport_in", {"country": "IS"}, "PGRST202"),
    ],
)
def test_a_call_that_cannot_be_is_refused(client: Client, name: str, arguments: Row, code: str) -> None:
    with pytest.raises(APIError) as caught:
        client.rpc(name, arguments).execute()
    assert caught.value.code == code
    assert caught.value.message
    assert client.from_("notes").select("id").execute().data == []


def test_one_row_wanted_of_many_that_a_function_gives_is_an_error(client: Client) -> None:
    with pytest.raises(APIError) as caught:
        client.rpc("airports_between", {"south": 70}).single().execute()
    assert caught.value.code == "PGRST116"
