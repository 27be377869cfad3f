"""The gazetteer, changed through PyPI's `postgrest`: writes do what they say, and refusals leave no trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from postgrest import APIError, CountMethod, ReturnMethod, SyncPostgrestClient

pytestmark = pytest.mark.long

Row = dict[str, Any]
Rows = list[Row]
ReadAll = Callable[[str], Rows]


def by(key: str) -> Callable[[Row], Any]:
    return lambda row: row[key]


def test_an_update_changes_what_the_filter_names_and_nothing_else(
    client: SyncPostgrestClient, source: dict[str, Rows]
) -> None:
    chosen = sorted(row["iata"] for row in source["airports"] if row["country"] == "IS")
    change = {"visits": 9_007_199_254_740_993, "open": True, "surveyed_on": "2024-02-29", "city": "Ísland 🇮🇸"}
    answer = client.from_("airports").update(change).eq("country", "IS").execute()
    assert sorted(row["iata"] for row in answer.data) == chosen
    assert all({name: row[name] for name in change} == change for row in answer.data)
    marked = client.from_("airports").select("iata").is_("open", True).order("iata").execute()
    assert [row["iata"] for row in marked.data] == chosen
    for row in source["airports"]:
        if row["country"] == "IS":
            back = {"visits": 0, "open": None, "surveyed_on": None, "city": row["city"]}
            client.from_("airports").update(back, returning=ReturnMethod.minimal).eq(
                "iata", row["iata"]
            ).execute()
    read = (
        client.from_("airports")
        .select(",".join(source["airports"][0]))
        .eq("country", "IS")
        .order("iata")
        .execute()
    )
    assert read.data == sorted((row for row in source["airports"] if row["country"] == "IS"), key=by("iata"))


def test_an_update_of_no_row_answers_an_empty_list(client: SyncPostgrestClient) -> None:
    assert client.from_("airports").update({"visits": 1}).eq("iata", "none").execute().data == []


def test_rows_inserted_one_and_many_are_returned_and_can_be_deleted(
    client: SyncPostgrestClient, source: dict[str, Rows], read_all: ReadAll
) -> None:
    one = {
        "alpha_3": "QQA",
        "numeric_code": "Q00",
        "name": 'Quoted "name", back\\slash \' and \n newline \t 日本語',
    }
    many = [{"alpha_3": f"QQ{letter}", "numeric_code": f"Q{letter}", "name": letter * 3} for letter in "BCDE"]
    assert client.from_("currencies").insert(one).execute().data == [one]
    assert sorted(client.from_("currencies").insert(many).execute().data, key=by("alpha_3")) == many
    found = client.from_("currencies").select("*").like("alpha_3", "QQ*").order("alpha_3").execute()
    assert found.data == [one, *many]
    gone = client.from_("currencies").delete(count=CountMethod.exact).like("alpha_3", "QQ*").execute()
    assert (len(gone.data), gone.count) == (5, 5)
    assert read_all("currencies") == sorted(source["currencies"], key=by("alpha_3"))


def test_an_identity_column_numbers_the_rows_and_defaults_fill_what_is_missing(
    client: SyncPostgrestClient,
) -> None:
    first = client.from_("notes").insert({"airport": "KEF", "body": "Windy."}).execute().data[0]
    second, third = (
        client.from_("notes")
        .insert([{"airport": "KEF", "body": "Still.", "stars": 4.5}, {"airport": "OSL", "body": "Snow."}])
        .execute()
        .data
    )
    assert len({first["id"], second["id"], third["id"]}) == 3
    assert [row["stars"] for row in (first, second, third)] == [None, 4.5, None]
    assert abs(date.fromisoformat(first["written_on"]) - datetime.now(UTC).date()) <= timedelta(days=1)
    # Many rows at once take the columns that any of them names; what one leaves out is NULL, unless asked.
    asked = client.from_("notes").insert(
        [{"airport": "KEF", "body": "1"}, {"airport": "KEF", "body": "2", "written_on": "2020-02-29"}],
        default_to_null=False,
    )
    assert [row["written_on"] for row in asked.execute().data] == [first["written_on"], "2020-02-29"]
    assert len(client.from_("notes").delete().gte("id", 0).execute().data) == 5


def test_an_upsert_inserts_what_is_new_and_merges_or_ignores_what_is_there(
    client: SyncPostgrestClient, source: dict[str, Rows], read_all: ReadAll
) -> None:
    there = dict(source["currencies"][0])
    new = {"alpha_3": "QQZ", "numeric_code": "QZ", "name": "New"}
    answer = client.from_("currencies").upsert([there | {"name": "Changed"}, new]).execute()
    assert sorted(answer.data, key=by("alpha_3")) == sorted(
        [there | {"name": "Changed"}, new], key=by("alpha_3")
    )
    ignored = (
        client.from_("currencies").upsert([there, new | {"name": "Newer"}], ignore_duplicates=True).execute()
    )
    assert ignored.data == []
    by_number = client.from_("currencies").upsert(there, on_conflict="numeric_code").execute()
    assert by_number.data == [there]
    client.from_("currencies").delete().eq("alpha_3", "QQZ").execute()
    assert read_all("currencies") == sorted(source["currencies"], key=by("alpha_3"))


def test_deleting_a_country_takes_its_subdivisions_along(
    client: SyncPostgrestClient, source: dict[str, Rows]
) -> None:
    country = {"alpha_2": "QQ", "alpha_3": "QQQ", "numeric_code": "QQQ", "name": "Nowhere", "flag": "🏴"}
    client.from_("countries").insert(country).execute()
    parts = [{"code": f"QQ-{number}", "country": "QQ", "kind": "Part", "name": "Part"} for number in range(3)]
    client.from_("subdivisions").insert(parts).execute()
    client.from_("countries").delete().eq("alpha_2", "QQ").execute()
    assert client.from_("subdivisions").select("code").eq("country", "QQ").execute().data == []
    count = client.from_("subdivisions").select("*", count=CountMethod.exact, head=True).execute().count
    assert count == len(source["subdivisions"])


AIRPORT = {"iata": "QQQ", "icao": "QQQQ", "name": "Q", "latitude": 1, "longitude": 1, "country": "IS"}
CURRENCY = {"alpha_3": "QQQ", "numeric_code": "QQQ", "name": "Q"}

Client = SyncPostgrestClient
Refused = Callable[[Client], Any]


def insert(table: str, row: Row) -> Refused:
    return lambda client: client.from_(table).insert(row)


def update_airport(change: Row) -> Refused:
    return lambda client: client.from_("airports").update(change).eq("iata", "KEF")


REFUSALS: dict[str, tuple[str, Refused]] = {
    "a row that is there already": ("23505", insert("currencies", CURRENCY | {"alpha_3": "EUR"})),
    "a second row with a unique value": ("23505", insert("currencies", CURRENCY | {"numeric_code": "978"})),
    "a time zone that is not there": ("23503", insert("airports", AIRPORT | {"time_zone": "Mars/Base"})),
    "a country that is not there": (
        "23503",
        insert("airports", AIRPORT | {"country": "XK", "time_zone": "Europe/London"}),
    ),
    "a change to a country that is not there": ("23503", update_airport({"country": "XK"})),
    "deleting what others refer to": (
        "23503",
        lambda client: client.from_("time_zones").delete().eq("name", "Europe/London"),
    ),
    "a check that fails": ("23514", update_airport({"latitude": 90.5})),
    "null where none may be": ("23502", insert("currencies", CURRENCY | {"name": None})),
    "a column left out that has no default": ("23502", insert("currencies", {"alpha_3": "QQQ"})),
    "text for an integer": ("22P02", update_airport({"visits": "many"})),
    "a fraction as text for an integer": ("22P02", update_airport({"visits": "1.5"})),
    "text for a numeric": ("22P02", update_airport({"elevation": "high"})),
    "text for a boolean": ("22P02", update_airport({"open": "perhaps"})),
    "text for a number in a filter": (
        "22P02",
        lambda client: client.from_("airports").select("*").gt("elevation", "high"),
    ),
    "a date that is none": ("22007", update_airport({"surveyed_on": "soon"})),
    "a day that the calendar lacks": ("22008", update_airport({"surveyed_on": "2023-02-29"})),
    "a timestamp that is none": ("22007", update_airport({"changed_at": "now and then"})),
    "a bigint out of range": ("22003", update_airport({"visits": 2**63})),
    "a numeric out of its precision": ("22003", update_airport({"elevation": 123456.7})),
    "an unknown table": ("PGRST205", lambda client: client.from_("contries").select("*")),
    "an unknown column in select": ("42703", lambda client: client.from_("countries").select("capital")),
    "an unknown column in a filter": (
        "42703",
        lambda client: client.from_("countries").select("*").eq("capital", "Oslo"),
    ),
    "an unknown column in an order": (
        "42703",
        lambda client: client.from_("countries").select("*").order("capital"),
    ),
    "an unknown column in a row": ("PGRST204", insert("countries", {"capital": "Oslo"})),
    "an unknown column in many rows": (
        "PGRST204",
        lambda client: client.from_("countries").insert([{"capital": "Oslo"}, {"capital": "Rome"}]),
    ),
    "an operator that is none": (
        "PGRST100",
        lambda client: client.from_("countries").select("*").filter("name", "equals", "Oslo"),
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_carry_postgresqls_and_postgrests_codes(client: SyncPostgrestClient, what: str) -> None:
    code, build = REFUSALS[what]
    with pytest.raises(APIError) as caught:
        build(client).execute()
    assert caught.value.code == code
    assert caught.value.message


def test_one_bad_row_among_many_leaves_no_trace_of_the_others(client: SyncPostgrestClient) -> None:
    rows = [{"alpha_3": f"Z{n:02}", "numeric_code": f"Z{n:02}", "name": "Z"} for n in range(50)]
    rows[37]["numeric_code"] = "978"
    with pytest.raises(APIError) as caught:
        client.from_("currencies").insert(rows).execute()
    assert caught.value.code == "23505"
    assert (
        client.from_("currencies").select("*").like("alpha_3", "Z%").in_("name", ["Z"]).execute().data == []
    )


def test_nobody_but_the_service_gets_in(client: SyncPostgrestClient) -> None:
    for headers, code in [({}, "42501"), ({"authorization": "Bearer nonsense"}, "PGRST301")]:
        with SyncPostgrestClient(str(client.base_url), headers=headers) as stranger:
            with pytest.raises(APIError) as caught:
                stranger.from_("countries").select("*").execute()
            assert caught.value.code == code
            with pytest.raises(APIError) as caught:
                stranger.from_("currencies").insert(CURRENCY).execute()
            assert caught.value.code == code
    assert client.from_("currencies").select("*").eq("alpha_3", "QQQ").execute().data == []
