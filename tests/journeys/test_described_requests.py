"""Requests made from the API's own description, right and wrong ones: answered as it says, or refused with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

Rows = list[dict[str, Any]]

# What the gazetteer itself has none of: functions, and columns of types that are written in many ways.
MORE = """
create type mood as enum ('sad', 'content', 'happy');
create table samples (
    id integer primary key,
    tags text[],
    numbers integer[],
    extra jsonb,
    plain json,
    feeling mood not null default 'content',
    known_as uuid,
    at_time time,
    lasting interval,
    moment timestamp,
    small smallint,
    single real,
    short varchar(3),
    raw bytea
);
create view high_airports as select iata, name, elevation from airports where elevation > 1000;
create function airports_in(code text, lowest numeric default 0, asked boolean default null)
    returns setof airports language sql stable
    as $$ select * from airports where country = code and elevation >= lowest and (asked is null or open = asked) $$;
create function twice(n integer, times bigint default 2) returns bigint language sql immutable
    as $$ select n * times $$;
"""
SAMPLE = {"id": 1, "tags": ["a", None], "numbers": [1, 2], "extra": {"a": [1]}, "short": "abc", "single": 0.5}
ROWS_OF_EACH = 25
EXAMPLES = 12
# Reads come first, as long as there are rows for them.
METHODS = ("GET", "POST", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def server(
    module_project: Path,
    module_engine: dict[str, str],
    serving: Callable[..., Any],
    source: dict[str, Rows],
) -> Iterator[Any]:
    (module_project / "migrations" / "20260104000000_more.sql").write_text(MORE)
    with serving(module_project, **module_engine) as server:
        with requests.Session() as session:
            for table, rows in {**source, "samples": [SAMPLE]}.items():
                few = rows[:ROWS_OF_EACH] if table == "airports" else rows[:1000]
                reply = session.post(f"{server.url}/rest/v1/{table}", json=few, headers=server.headers)
                assert reply.status_code == 201, reply.text
        yield server


def described(server: Any) -> Any:
    """The server's description, as a schema that schemathesis makes requests from."""
    document = requests.get(f"{server.url}/rest/v1/", headers=server.headers, timeout=10).json()
    for table in document["definitions"].values():
        for name, column in table["properties"].items():
            # Swagger 2.0 has no word for what may be null: in PostgREST's manner, columns that are not `required`,
            # and the elements of any array.
            column["x-nullable"] = name not in table.get("required", ())
            column.get("items", {})["x-nullable"] = True
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"{server.url}/rest/v1")
    return schema


def check(case: Any, reply: Any) -> None:
    """Hold an answer against the description; refusals are worded as everywhere."""
    case.validate_response(reply, checks=[not_a_server_error])
    if reply.content:
        case.validate_response(reply, checks=[content_type_conformance])
    if reply.status_code >= 400:
        error = reply.json()
        assert set(error) == {"code", "message", "details", "hint"} and error["message"], reply.text
        assert "Traceback" not in reply.text
    elif not {"select", "columns"} & set(case.query or ()):
        case.validate_response(reply, checks=[response_schema_conformance])


@pytest.mark.long
def test_requests_made_from_the_description_are_answered_as_it_says(server: Any) -> None:
    operations = sorted(
        (found.ok() for found in described(server).get_all_operations()),
        key=lambda operation: METHODS.index(operation.method.upper()),
    )
    paths = {operation.path for operation in operations}
    assert {"/", "/airports", "/samples", "/high_airports", "/rpc/airports_in", "/rpc/twice"} <= paths
    statuses: Counter[tuple[str, int]] = Counter()
    with requests.Session() as session:
        for operation in operations:
            cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            if operation.path != "/":  # nothing can be wrong about a request that has no parameters
                cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(cases)
            def ask(case: Any) -> None:
                reply = case.call(session=session, headers=server.headers, timeout=10)
                statuses[case.method, reply.status_code] += 1
                check(case, reply)

            ask()
    assert {("GET", 200), ("POST", 201), ("PATCH", 204), ("DELETE", 204)} <= set(statuses), statuses
    assert {(method, 400) for method in METHODS} <= set(statuses), statuses
