"""The gazetteer's related rows through PyPI's `postgrest`: joined and counted by the server as Python does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import fmean
from typing import Any

import pytest
from postgrest import APIError, CountMethod, SyncPostgrestClient

pytestmark = pytest.mark.long

Row = dict[str, Any]
Rows = list[Row]
Client = SyncPostgrestClient


def by(*keys: str) -> Callable[[Row], Any]:
    return lambda row: tuple(row[key] for key in keys)


def only(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def index(rows: Rows, key: str) -> dict[Any, Row]:
    return {row[key]: row for row in rows}


def gather(rows: Rows, key: str, *names: str) -> Callable[[Any], Rows]:
    """What of `rows` has a value in the column `key`, in the order of the first of `names`."""
    groups: dict[Any, Rows] = {}
    for row in sorted(rows, key=by(names[0])):
        groups.setdefault(row[key], []).append(only(row, *names))
    return lambda value: groups.get(value, [])


def test_every_country_comes_with_its_subdivisions(client: Client, source: dict[str, Rows]) -> None:
    parts = gather(source["subdivisions"], "country", "code", "name")
    answer = (
        client.from_("countries")
        .select("alpha_2", "subdivisions(code,name)")
        .order("alpha_2")
        .order("code", foreign_table="subdivisions")
        .execute()
    )
    assert answer.data == [
        {"alpha_2": row["alpha_2"], "subdivisions": parts(row["alpha_2"])}
        for row in sorted(source["countries"], key=by("alpha_2"))
    ]


def test_subdivisions_come_with_their_parent_and_with_their_children(
    client: Client, source: dict[str, Rows]
) -> None:
    rows = [row for row in source["subdivisions"] if row["country"] in ("FR", "GB", "IT")]
    known = index(source["subdivisions"], "code")
    children = gather(source["subdivisions"], "parent", "code")
    answer = (
        client.from_("subdivisions")
        .select("code", "within:parent(name,country:countries(name))", "children:subdivisions(code)")
        .in_("country", ["FR", "GB", "IT"])
        .order("code")
        .order("code", foreign_table="children")
        .execute()
    )
    names = {row["alpha_2"]: only(row, "name") for row in source["countries"]}
    parents = {code: only(row, "name") | {"country": names[row["country"]]} for code, row in known.items()}
    assert answer.data == [
        {"code": row["code"], "within": parents.get(row["parent"]), "children": children(row["code"])}
        for row in sorted(rows, key=by("code"))
    ]
    assert any(row["within"] for row in answer.data)
    assert any(row["children"] for row in answer.data)


def test_airports_come_with_their_country_and_time_zone_side_by_side_or_spread(
    client: Client, source: dict[str, Rows]
) -> None:
    countries, zones = index(source["countries"], "alpha_2"), index(source["time_zones"], "name")
    rows = sorted(source["airports"], key=by("iata"))[:500]
    query = client.from_("airports").select("iata", "countries(name,flag)", "zone:time_zones(hours_ahead)")
    assert query.order("iata").limit(500).execute().data == [
        {
            "iata": row["iata"],
            "countries": only(countries[row["country"]], "name", "flag"),
            "zone": only(zones[row["time_zone"]], "hours_ahead"),
        }
        for row in rows
    ]
    query = client.from_("airports").select("iata", "...countries(in:name)", "...time_zones(hours_ahead)")
    assert query.order("iata").limit(500).execute().data == [
        {
            "iata": row["iata"],
            "in": countries[row["country"]]["name"],
            "hours_ahead": zones[row["time_zone"]]["hours_ahead"],
        }
        for row in rows
    ]


def test_a_spread_of_many_is_lists(client: Client, source: dict[str, Rows]) -> None:
    parts = gather(source["subdivisions"], "country", "code")
    query = client.from_("countries").select("alpha_2", "...subdivisions(codes:code)").order("alpha_2")
    assert query.order("code", foreign_table="subdivisions").execute().data == [
        {"alpha_2": row["alpha_2"], "codes": [part["code"] for part in parts(row["alpha_2"])]}
        for row in sorted(source["countries"], key=by("alpha_2"))
    ]


def test_a_filter_on_related_rows_empties_them_or_with_inner_leaves_out_the_row(
    client: Client, source: dict[str, Rows]
) -> None:
    high = [row for row in source["airports"] if row["elevation"] > 8000]
    airports = gather(high, "country", "iata", "elevation")
    countries = sorted(row["alpha_2"] for row in source["countries"])

    def ask(selection: str) -> Any:
        query = client.from_("countries").select("alpha_2", selection, count=CountMethod.exact)
        query = query.gt("airports.elevation", 8000).order("alpha_2").order("iata", foreign_table="airports")
        return query.execute()

    outer, inner = ask("airports(iata,elevation)"), ask("airports!inner(iata,elevation)")
    everywhere = [{"alpha_2": code, "airports": airports(code)} for code in countries]
    assert (outer.data, outer.count) == (everywhere, len(countries))
    somewhere = [row for row in everywhere if row["airports"]]
    assert 0 < len(somewhere) < len(countries)
    assert (inner.data, inner.count) == (somewhere, len(somewhere))


def test_a_filter_on_what_is_related_to_the_related_reaches_through_inner_joins(
    client: Client, source: dict[str, Rows]
) -> None:
    zones = {row["name"] for row in source["time_zones"] if row["hours_ahead"] == 5.75}
    expected = {row["country"] for row in source["airports"] if row["time_zone"] in zones}
    query = client.from_("countries").select("alpha_2", "airports!inner(time_zones!inner())").order("alpha_2")
    answer = query.eq("airports.time_zones.hours_ahead", 5.75).execute()
    assert expected
    assert [row["alpha_2"] for row in answer.data] == sorted(expected)


def test_whether_there_are_related_rows_is_a_filter(client: Client, source: dict[str, Rows]) -> None:
    served = {row["country"] for row in source["airports"]}
    unserved = sorted(row["alpha_2"] for row in source["countries"] if row["alpha_2"] not in served)
    query = client.from_("countries").select("alpha_2", "airports()").is_("airports", None).order("alpha_2")
    assert [row["alpha_2"] for row in query.execute().data] == unserved


def test_either_of_two_conditions_on_related_rows(client: Client, source: dict[str, Rows]) -> None:
    wanted = [row for row in source["airports"] if row["elevation"] < -100 or row["latitude"] > 78]
    airports = gather(wanted, "country", "iata")
    query = client.from_("countries").select("alpha_2", "airports!inner(iata)").order("alpha_2")
    query = query.or_("elevation.lt.-100,latitude.gt.78", reference_table="airports")
    assert query.order("iata", foreign_table="airports").execute().data == [
        {"alpha_2": code, "airports": airports(code)} for code in sorted({row["country"] for row in wanted})
    ]


def test_the_first_few_related_rows_of_each(client: Client, source: dict[str, Rows]) -> None:
    highest: dict[str, list[str]] = {}
    for row in sorted(source["airports"], key=lambda row: (-row["elevation"], row["iata"])):
        highest.setdefault(row["country"], []).append(row["iata"])
    query = client.from_("countries").select("alpha_2", "airports(iata)").order("alpha_2")
    query = query.order("elevation", desc=True, foreign_table="airports")
    query = query.order("iata", foreign_table="airports")
    answer = query.range(1, 3, foreign_table="airports").execute()
    assert [(row["alpha_2"], [each["iata"] for each in row["airports"]]) for row in answer.data] == [
        (code, highest.get(code, [])[1:4]) for code in sorted(row["alpha_2"] for row in source["countries"])
    ]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 4), (0, -1)])
def test_an_inner_join_is_to_the_related_rows_that_are_answered(
    client: Client, source: dict[str, Rows], first: int, last: int
) -> None:
    airports = gather(source["airports"], "country", "iata")
    countries = sorted(row["alpha_2"] for row in source["countries"])
    query = client.from_("countries").select("alpha_2", "airports!inner(iata)", count=CountMethod.exact)
    query = query.order("alpha_2").order("iata", foreign_table="airports")
    answer = query.range(first, last, foreign_table="airports").execute()
    expected = [{"alpha_2": code, "airports": airports(code)[first : last + 1]} for code in countries]
    expected = [row for row in expected if row["airports"]]
    assert (answer.data, answer.count) == (expected, len(expected))


def test_rows_are_ordered_by_a_related_rows_column(client: Client, source: dict[str, Rows]) -> None:
    hours = {row["name"]: row["hours_ahead"] for row in source["time_zones"]}
    expected = sorted(source["airports"], key=lambda row: (-hours[row["time_zone"]], row["iata"]))[:300]
    query = client.from_("airports").select("iata", "time_zones(hours_ahead)")
    answer = query.order("time_zones(hours_ahead)", desc=True).order("iata").limit(300).execute()
    assert [row["iata"] for row in answer.data] == [row["iata"] for row in expected]


def test_related_rows_are_counted_for_each_row(client: Client, source: dict[str, Rows]) -> None:
    airports = Counter(row["country"] for row in source["airports"])
    parts = Counter(row["country"] for row in source["subdivisions"])
    query = client.from_("countries").select("alpha_2", "airports(count)", "subdivisions(count())")
    assert query.order("alpha_2").execute().data == [
        {"alpha_2": code, "airports": [{"count": airports[code]}], "subdivisions": [{"count": parts[code]}]}
        for code in sorted(row["alpha_2"] for row in source["countries"])
    ]


def test_aggregates_group_by_what_else_is_selected(client: Client, source: dict[str, Rows]) -> None:
    groups: dict[str, list[float]] = {}
    for row in source["airports"]:
        groups.setdefault(row["time_zone"], []).append(row["elevation"])
    query = client.from_("airports").select(
        "time_zone", "count()", "low:elevation.min()", "high:elevation.max()", "elevation.avg()"
    )
    answer = query.order("time_zone").execute()
    assert [only(row, "time_zone", "count", "low", "high") for row in answer.data] == [
        {"time_zone": zone, "count": len(values), "low": min(values), "high": max(values)}
        for zone, values in sorted(groups.items())
    ]
    for row in answer.data:
        assert row["avg"] == pytest.approx(fmean(groups[row["time_zone"]]), rel=1e-9, abs=1e-9)


def test_aggregates_group_by_columns_of_related_rows(client: Client, source: dict[str, Rows]) -> None:
    hours = {row["name"]: row["hours_ahead"] for row in source["time_zones"]}
    numbers = Counter(hours[row["time_zone"]] for row in source["airports"])
    answer = client.from_("airports").select("count()", "...time_zones(hours_ahead)").execute()
    assert sorted(answer.data, key=by("hours_ahead")) == [
        {"count": number, "hours_ahead": hour} for hour, number in sorted(numbers.items())
    ]


def test_computed_fields_are_selected_filtered_and_ordered_by(
    client: Client, source: dict[str, Rows]
) -> None:
    southern = [row for row in source["airports"] if row["country"] == "BR" and row["latitude"] < 0]
    query = client.from_("airports").select("codes", "countries(name)").eq("country", "BR")
    answer = query.is_("southern", True).order("codes", desc=True).execute()
    brazil = index(source["countries"], "alpha_2")["BR"]["name"]
    codes = sorted((f"{row['iata']}/{row['icao']}" for row in southern), reverse=True)
    assert answer.data == [{"codes": code, "countries": {"name": brazil}} for code in codes]
    nested = client.from_("countries").select("airports(codes)").eq("alpha_2", "IS").single()
    nested_codes = [
        {"codes": f"{row['iata']}/{row['icao']}"} for row in source["airports"] if row["country"] == "IS"
    ]
    assert sorted(nested.execute().data["airports"], key=by("codes")) == sorted(nested_codes, key=by("codes"))


@pytest.mark.parametrize(
    ("table", "selection", "code"),
    [
        ("countries", "alpha_2,languages(name)", "PGRST200"),
        ("countries", "alpha_2,airports(altitude)", "42703"),
        ("airports", "iata,countries(subdivisions(capital))", "42703"),
        ("airports", "iata,countries(", "PGRST100"),
        ("countries", "alpha_2,airports(iata,altitude.max())", "42703"),
    ],
)
def test_a_selection_that_cannot_be_is_refused(client: Client, table: str, selection: str, code: str) -> None:
    with pytest.raises(APIError) as caught:
        client.from_(table).select(selection).execute()
    assert caught.value.code == code
    assert caught.value.message
