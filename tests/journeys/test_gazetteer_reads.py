"""The gazetteer, loaded and read through PyPI's `postgrest`: every answer agrees with its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from postgrest import APIError, CountMethod, SyncPostgrestClient

pytestmark = pytest.mark.long

Row = dict[str, Any]
Rows = list[Row]
ReadAll = Callable[[str], Rows]


def moment(text: str) -> datetime:
    """The instant a timestamp names, whatever its offset."""
    return datetime.fromisoformat(text).astimezone(UTC)


def by(key: str) -> Callable[[Row], Any]:
    return lambda row: row[key]


@pytest.mark.parametrize(
    "table", ["countries", "subdivisions", "former_countries", "languages", "currencies"]
)
def test_every_row_comes_back_as_it_was_sent(
    source: dict[str, Rows], table: str, read_all: ReadAll, keys: Mapping[str, str]
) -> None:
    assert read_all(table) == sorted(source[table], key=by(keys[table]))


def test_timestamps_come_back_as_the_same_instants_and_booleans_as_booleans(
    source: dict[str, Rows], read_all: ReadAll
) -> None:
    zones = read_all("time_zones")
    expected = sorted(source["time_zones"], key=by("name"))
    assert [(row["name"], moment(row["new_year"])) for row in zones] == [
        (row["name"], moment(row["new_year"])) for row in expected
    ]
    assert [(row["hours_ahead"], row["changes"]) for row in zones] == [
        (row["hours_ahead"], row["changes"]) for row in expected
    ]
    assert {type(row["changes"]) for row in zones} == {bool}


def test_columns_not_sent_hold_their_defaults(source: dict[str, Rows], read_all: ReadAll) -> None:
    airports = read_all("airports")
    expected = sorted(source["airports"], key=by("iata"))
    assert [{name: row[name] for name in expected[0]} for row in airports] == expected
    assert {(row["visits"], row["open"], row["surveyed_on"]) for row in airports} == {(0, None, None)}
    ages = {(datetime.now(UTC) - moment(row["changed_at"])).total_seconds() for row in airports}
    assert -1 <= min(ages) <= max(ages) < 300


def test_counts_agree_with_the_source(client: SyncPostgrestClient, source: dict[str, Rows]) -> None:
    for table, rows in source.items():
        answer = client.from_(table).select("*", count=CountMethod.exact, head=True).execute()
        assert answer.count == len(rows), table
    per_zone = Counter(row["time_zone"] for row in source["airports"])
    for zone, number in per_zone.most_common(5):
        answer = (
            client.from_("airports").select("iata", count=CountMethod.exact).eq("time_zone", zone).limit(3)
        )
        result = answer.execute()
        assert (result.count, len(result.data)) == (number, 3)


Build = Callable[[Any], Any]
Keep = Callable[[Row], bool]


def known(column: str, test: Callable[[Any], bool]) -> Keep:
    """SQL's three-valued logic: a comparison with NULL keeps no row."""
    return lambda row: row[column] is not None and test(row[column])


FILTERS: dict[str, tuple[str, Build, Keep]] = {
    "eq text": ("airports", lambda q: q.eq("country", "IS"), known("country", lambda v: v == "IS")),
    "eq unicode": (
        "airports",
        lambda q: q.eq("city", "Bíldudalur"),
        known("city", lambda v: v == "Bíldudalur"),
    ),
    "eq with comma and parentheses": (
        "subdivisions",
        lambda q: q.eq("name", "Madrid, Comunidad de"),
        known("name", lambda v: v == "Madrid, Comunidad de"),
    ),
    "eq leading zeros": (
        "countries",
        lambda q: q.eq("numeric_code", "004"),
        known("numeric_code", lambda v: v == "004"),
    ),
    "eq fraction": ("airports", lambda q: q.eq("elevation", 13.1), known("elevation", lambda v: v == 13.1)),
    "eq numeric written otherwise": (
        "airports",
        lambda q: q.eq("elevation", "13.100"),
        known("elevation", lambda v: v == 13.1),
    ),
    "eq double": (
        "airports",
        lambda q: q.eq("latitude", -23.43556),
        known("latitude", lambda v: v == -23.43556),
    ),
    "eq boolean": ("languages", lambda q: q.eq("living", False), known("living", lambda v: v is False)),
    "neq leaves out nulls": (
        "airports",
        lambda q: q.neq("faa_id", "SFO"),
        known("faa_id", lambda v: v != "SFO"),
    ),
    "gt numeric compares numbers, not texts": (
        "airports",
        lambda q: q.gt("elevation", 9000),
        known("elevation", lambda v: v > 9000),
    ),
    "lt negative numeric": (
        "airports",
        lambda q: q.lt("elevation", -9.5),
        known("elevation", lambda v: v < -9.5),
    ),
    "gte and lte": (
        "airports",
        lambda q: q.gte("latitude", 64.1).lte("latitude", 66.66),
        known("latitude", lambda v: 64.1 <= v <= 66.66),
    ),
    "gte integer": (
        "former_countries",
        lambda q: q.gte("withdrawn_year", 1990),
        known("withdrawn_year", lambda v: v >= 1990),
    ),
    "lt date": (
        "former_countries",
        lambda q: q.lt("withdrawn_on", "1993-01-01"),
        known("withdrawn_on", lambda v: v < "1993-01-01"),
    ),
    "gt instant given in another zone": (
        "time_zones",
        lambda q: q.gt("new_year", "2026-01-01T09:30:00+05:30"),
        known("new_year", lambda v: moment(v) > datetime(2026, 1, 1, 4, tzinfo=UTC)),
    ),
    "eq instant": (
        "time_zones",
        lambda q: q.eq("new_year", "2025-12-31 18:30:00+00"),
        known("new_year", lambda v: moment(v) == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)),
    ),
    "lte bigint": ("languages", lambda q: q.lte("id", 77), known("id", lambda v: v <= 77)),
    "like": ("languages", lambda q: q.like("name", "Old %"), known("name", lambda v: v.startswith("Old "))),
    "like minds case": (
        "languages",
        lambda q: q.like("name", "old%"),
        known("name", lambda v: v.startswith("old")),
    ),
    "like one character": (
        "subdivisions",
        lambda q: q.like("code", "DE-_W"),
        known("code", lambda v: v.startswith("DE-") and len(v) == 5 and v.endswith("W")),
    ),
    "ilike": ("airports", lambda q: q.ilike("name", "%INTL%"), known("name", lambda v: "intl" in v.lower())),
    "ilike unicode": (
        "airports",
        lambda q: q.ilike("name", "ÞÓRSHÖFN%"),
        known("name", lambda v: v.lower().startswith("þórshöfn")),
    ),
    "in": (
        "countries",
        lambda q: q.in_("alpha_2", ["NO", "SE", "FI", "XX"]),
        known("alpha_2", lambda v: v in {"NO", "SE", "FI"}),
    ),
    "in with reserved characters": (
        "subdivisions",
        lambda q: q.in_("name", ["Madrid, Comunidad de", "Sofia (stolitsa)", "Nord"]),
        known("name", lambda v: v in {"Madrid, Comunidad de", "Sofia (stolitsa)", "Nord"}),
    ),
    "in numbers": (
        "languages",
        lambda q: q.in_("id", [1, 7, 7_000]),
        known("id", lambda v: v in {1, 7, 7_000}),
    ),
    "is null": ("airports", lambda q: q.is_("city", None), lambda row: row["city"] is None),
    "is true": ("time_zones", lambda q: q.is_("changes", True), lambda row: row["changes"]),
    "not is null": (
        "subdivisions",
        lambda q: q.not_.is_("parent", None).eq("country", "GB"),
        lambda row: row["parent"] is not None and row["country"] == "GB",
    ),
    "several at once": (
        "airports",
        lambda q: q.eq("subdivision", "Colorado").gte("elevation", 7000).is_("open", "null"),
        lambda row: row["subdivision"] == "Colorado" and row["elevation"] >= 7000,
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_the_rows_that_the_source_says(
    client: SyncPostgrestClient, source: dict[str, Rows], name: str, keys: Mapping[str, str]
) -> None:
    table, build, keep = FILTERS[name]
    key = keys[table]
    expected = sorted(row[key] for row in source[table] if keep(row))
    answer = build(client.from_(table).select(key, count=CountMethod.exact)).order(key).execute()
    assert [row[key] for row in answer.data] == expected
    assert answer.count == len(expected)
    assert expected or name == "like minds case", "a filter that keeps nothing shows little"


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [None, False, True])
def test_rows_come_in_the_order_asked_for(
    client: SyncPostgrestClient, source: dict[str, Rows], descending: bool, nulls_first: bool | None
) -> None:
    rows = source["former_countries"]
    filled = sorted((row for row in rows if row["withdrawn_on"]), key=by("alpha_4"))
    filled.sort(key=by("withdrawn_on"), reverse=descending)
    empty = sorted((row for row in rows if not row["withdrawn_on"]), key=by("alpha_4"))
    # PostgreSQL's rule: NULL is larger than every value unless the order says where NULLs go.
    expected = empty + filled if (descending if nulls_first is None else nulls_first) else filled + empty
    query = client.from_("former_countries").select("*")
    answer = query.order("withdrawn_on", desc=descending, nullsfirst=nulls_first).order("alpha_4").execute()
    assert answer.data == expected


def test_numbers_are_ordered_as_numbers(client: SyncPostgrestClient, source: dict[str, Rows]) -> None:
    expected = sorted(source["airports"], key=lambda row: (-row["elevation"], row["iata"]))
    answer = (
        client.from_("airports")
        .select("iata,elevation")
        .order("elevation", desc=True)
        .order("iata")
        .execute()
    )
    assert [row["iata"] for row in answer.data] == [row["iata"] for row in expected]
    assert [row["elevation"] for row in answer.data] == [row["elevation"] for row in expected]


def test_pages_join_to_the_whole_and_one_past_the_end_is_an_error(
    client: SyncPostgrestClient, source: dict[str, Rows]
) -> None:
    total = len(source["countries"])
    pages = [
        client.from_("countries").select("alpha_2").order("alpha_2").range(start, start + 59).execute().data
        for start in range(0, total, 60)
    ]
    assert [row["alpha_2"] for page in pages for row in page] == sorted(
        row["alpha_2"] for row in source["countries"]
    )
    beyond = client.from_("countries").select("*", count=CountMethod.exact).range(total + 1, total + 9)
    with pytest.raises(APIError) as caught:
        beyond.execute()
    assert caught.value.code == "PGRST103"
    assert client.from_("countries").select("*").limit(0).execute().data == []


def test_columns_can_be_chosen_renamed_and_cast(client: SyncPostgrestClient, source: dict[str, Rows]) -> None:
    row = next(row for row in source["countries"] if row["alpha_2"] == "CI")
    answer = client.from_("countries").select("name", "code:alpha_3").eq("alpha_2", "CI").execute()
    assert answer.data == [{"name": row["name"], "code": row["alpha_3"]}]


def test_a_single_row_is_an_object_and_anything_else_an_error(
    client: SyncPostgrestClient, source: dict[str, Rows]
) -> None:
    oldest = client.from_("countries").select("*").eq("alpha_2", "ÅX")
    assert oldest.maybe_single().execute() is None
    iceland = next(row for row in source["countries"] if row["alpha_2"] == "IS")
    assert client.from_("countries").select("*").eq("alpha_2", "IS").single().execute().data == iceland
    maybe = client.from_("countries").select("*").eq("alpha_2", "IS").maybe_single().execute()
    assert maybe is not None
    assert maybe.data == iceland
    for number, query in [
        (0, client.from_("countries").select("*").eq("alpha_2", "XX")),
        (2, client.from_("countries").select("*").in_("alpha_2", ["IS", "NO"])),
    ]:
        with pytest.raises(APIError) as caught:
            query.single().execute()
        assert caught.value.code == "PGRST116"
        assert f"contains {number} rows" in str(caught.value.details)
