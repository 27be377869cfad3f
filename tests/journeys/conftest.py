"""The journeys' project: a gazetteer of the world, from two public data sets (pycountry, airportsdata)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import airportsdata
import pycountry
import pytest
from postgrest import CountMethod, ReturnMethod, SyncPostgrestClient

Rows = list[dict[str, Any]]

BATCH = 1_000
KEYS = {
    "countries": "alpha_2",
    "subdivisions": "code",
    "former_countries": "alpha_4",
    "languages": "id",
    "currencies": "alpha_3",
    "time_zones": "name",
    "airports": "iata",
}
MIGRATIONS = Path(__file__).parent / "migrations"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with the gazetteer's migrations and nothing else."""
    return _make_project(tmp_path / "gazetteer")


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests of a module."""
    return _make_project(tmp_path_factory.mktemp("journey") / "gazetteer")


def _engine(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    return {"database__url": request.getfixturevalue("make_postgresql_database")()}


ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)]
engine = pytest.fixture(_engine, scope="session", name="engine", params=ENGINES)
"""The settings that choose an engine, with an empty database on it; between the two, one differs."""
module_engine = pytest.fixture(_engine, scope="module", name="module_engine", params=ENGINES)
"""The same anew for each module."""


@pytest.fixture(scope="session")
def server(
    engine: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., Any],
    source: dict[str, Rows],
) -> Iterator[Any]:
    """One server for all tests, to which PyPI's client sent the whole gazetteer, a thousand rows at a time.

    Tests that write undo what they did.
    """
    project = _make_project(tmp_path_factory.mktemp("journey") / "gazetteer")
    with (
        serving(project, rest__aggregates="true", **engine) as server,
        SyncPostgrestClient(f"{server.url}/rest/v1", headers=server.headers) as client,
    ):
        for table, rows in source.items():
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                client.from_(table).insert(batch, returning=ReturnMethod.minimal).execute()
        yield server


@pytest.fixture(scope="session")
def client(server: Any) -> Iterator[SyncPostgrestClient]:
    """A client of that server, with the service's key."""
    with SyncPostgrestClient(f"{server.url}/rest/v1", headers=server.headers) as client:
        yield client


@pytest.fixture(scope="session")
def read_all(client: SyncPostgrestClient) -> Callable[[str], Rows]:
    """Return a function that gives every row of a table, page by page in the order of its key."""

    def read(table: str) -> Rows:
        rows: Rows = []
        while True:
            page = client.from_(table).select("*", count=CountMethod.exact).order(KEYS[table])
            answer = page.range(len(rows), len(rows) + 699).execute()
            assert answer.data or not answer.count, "an empty page before the counted end"
            rows += answer.data
            if len(rows) >= answer.count:
                return rows

    return read


@pytest.fixture(scope="session")
def keys() -> Mapping[str, str]:
    """Each table's primary key."""
    return KEYS


@pytest.fixture(scope="session")
def source() -> dict[str, Rows]:
    """Every table's rows, as JSON values and in an order in which they can be inserted; about 21,000."""
    return {
        "countries": _countries(),
        "subdivisions": _subdivisions(),
        "former_countries": _former_countries(),
        "languages": _languages(),
        "currencies": [_named(currency) for currency in pycountry.currencies],
        "time_zones": [_time_zone(name) for name in sorted({row["tz"] for row in _raw_airports()})],
        "airports": [_airport(row) for row in _raw_airports()],
    }


def _make_project(folder: Path) -> Path:
    shutil.copytree(MIGRATIONS, folder / "migrations")
    return folder


def _countries() -> Rows:
    return [
        _named(country)
        | {
            "alpha_2": country.alpha_2,
            "official_name": getattr(country, "official_name", None),
            "common_name": getattr(country, "common_name", None),
            "flag": country.flag,
        }
        for country in pycountry.countries
    ]


def _named(entry: Any) -> dict[str, Any]:
    return {"alpha_3": entry.alpha_3, "numeric_code": entry.numeric, "name": entry.name}


def _subdivisions() -> Rows:
    """Parents before their children, as the foreign key wants it from one request to the next."""
    remaining = {entry.code: entry for entry in pycountry.subdivisions}
    rows: Rows = []
    while remaining:
        ready = [entry for entry in remaining.values() if entry.parent_code not in remaining]
        assert ready, f"subdivisions that are each other's parents: {sorted(remaining)}"
        for entry in ready:
            del remaining[entry.code]
            rows.append(
                {
                    "code": entry.code,
                    "country": entry.country_code,
                    "kind": entry.type,
                    "name": entry.name,
                    "parent": entry.parent_code,
                }
            )
    return rows


def _former_countries() -> Rows:
    return [
        {
            "alpha_4": entry.alpha_4,
            "name": entry.name,
            "numeric_code": getattr(entry, "numeric", None),
            "withdrawn_year": int(entry.withdrawal_date[:4]),
            "withdrawn_on": entry.withdrawal_date if len(entry.withdrawal_date) == 10 else None,
            "comment": getattr(entry, "comment", None),
        }
        for entry in pycountry.historic_countries
    ]


def _languages() -> Rows:
    return [
        {
            "id": number,
            "alpha_3": entry.alpha_3,
            "alpha_2": getattr(entry, "alpha_2", None),
            "name": entry.name,
            "inverted_name": getattr(entry, "inverted_name", None),
            "scope": entry.scope,
            "kind": entry.type,
            "living": entry.type == "L",
        }
        for number, entry in enumerate(pycountry.languages, start=1)
    ]


def _raw_airports() -> Iterator[Any]:
    # Kosovo's code is user-assigned and so not in ISO 3166: its airport is the foreign key's test.
    return (row for row in airportsdata.load("IATA").values() if row["country"] != "XK")


def _time_zone(name: str) -> dict[str, Any]:
    new_year = datetime(2026, 1, 1, tzinfo=ZoneInfo(name))
    in_july = datetime(2026, 7, 1, tzinfo=ZoneInfo(name))
    ahead = new_year.utcoffset()
    assert ahead is not None
    return {
        "name": name,
        "new_year": new_year.isoformat(),
        "hours_ahead": ahead.total_seconds() / 3600,
        "changes": ahead != in_july.utcoffset(),
    }


def _airport(row: Any) -> dict[str, Any]:
    return {
        "iata": row["iata"],
        "icao": row["icao"],
        "name": row["name"],
        "city": row["city"] or None,
        "subdivision": row["subd"] or None,
        "country": row["country"],
        "elevation": row["elevation"],
        "latitude": row["lat"],
        "longitude": row["lon"],
        "time_zone": row["tz"],
        "faa_id": row["lid"] or None,
    }
