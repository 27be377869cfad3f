"""Errors in PostgREST's shape, whoever found them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.contracts.records import (
    AmbiguousRelationship,
    NoRelationship,
    NotEmbedded,
    NotToOne,
    Records,
    RecordsError,
)
from kernel.contracts.relationships import Junction, Relationship, Side
from kernel.identity import Identity
from plugins.rest.refusals.records import translate

ANN = Identity("authenticated", "ann")


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("08006", 503), ("23502", 400), ("23503", 409), ("23505", 409), ("23514", 400), ("25006", 405),
        ("28000", 403), ("40001", 500), ("42501", 403), ("42703", 400), ("42883", 404), ("42P01", 404),
        ("42P17", 500), ("53300", 503), ("53400", 500), ("57014", 500), ("57P01", 503), ("P0001", 400),
        ("XX000", 500), ("22P02", 400), ("99999", 400),
    ],
)  # fmt: skip
def test_status_by_sqlstate(sqlstate: str, status: int) -> None:
    assert translate(DatabaseError("x", sqlstate=sqlstate), ANN).status == status


def test_an_unavailable_database_is_503_whatever_its_code() -> None:
    assert translate(DatabaseUnavailable("x", sqlstate="55P03"), ANN).status == 503


MAIN = Side("main_project", ("main_project_id",), ("id",))
NEAR = Side("jobs_site_fkey", ("site_id",), ("id",))
FAR = Side("jobs_project_fkey", ("project_id", "branch"), ("id", "branch"))
DIRECT = Relationship("public", "sites", "public", "projects", "many-to-one", MAIN)
THROUGH = Relationship(
    "public", "sites", "public", "projects", "many-to-many", junction=Junction("public", "jobs", NEAR, FAR)
)
SEARCHED = "Searched for a foreign key relationship between 'sites' and 'project'"
UNFOUND = "Could not find a relationship between 'sites' and 'project' in the schema cache"


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            NoRelationship("public", "sites", "project", None, "projects"),
            400,
            {
                "code": "PGRST200",
                "message": UNFOUND,
                "details": f"{SEARCHED} in the schema 'public', but no matches were found.",
                "hint": "Perhaps you meant 'projects' instead of 'project'.",
            },
        ),
        (
            NoRelationship("public", "sites", "project", "fk", None),
            400,
            {
                "code": "PGRST200",
                "message": UNFOUND,
                "details": f"{SEARCHED} using the hint 'fk' in the schema 'public', but no matches were found.",
                "hint": None,
            },
        ),
        (
            AmbiguousRelationship("sites", "projects", (DIRECT, THROUGH)),
            300,
            {
                "code": "PGRST201",
                "message": "Could not embed because more than one relationship was found for 'sites' and 'projects'",
                "details": [
                    {
                        "cardinality": "many-to-one",
                        "relationship": "main_project using sites(main_project_id) and projects(id)",
                        "embedding": "sites with projects",
                    },
                    {
                        "cardinality": "many-to-many",
                        "relationship": "jobs using jobs_site_fkey(site_id) and jobs_project_fkey(project_id, branch)",
                        "embedding": "sites with projects",
                    },
                ],
                "hint": (
                    "Try changing 'projects' to one of the following: 'projects!main_project', 'projects!jobs'. "
                    "Find the desired relationship in the 'details' key."
                ),
            },
        ),
        (
            NotToOne("sites", "projects"),
            400,
            {
                "code": "PGRST118",
                "message": "A related order on 'projects' is not possible",
                "details": "'sites' and 'projects' do not form a many-to-one or one-to-one relationship",
                "hint": None,
            },
        ),
        (
            NotEmbedded("projects"),
            400,
            {
                "code": "PGRST108",
                "message": "'projects' is not an embedded resource in this request",
                "details": None,
                "hint": "Verify that 'projects' is included in the 'select' query parameter.",
            },
        ),
    ],
)
def test_what_does_not_relate_is_said_in_postgrest_s_words(
    api: Any, monkeypatch: pytest.MonkeyPatch, error: RecordsError, status: int, body: dict[str, Any]
) -> None:
    assert failing(api, monkeypatch, error).expect(status).json() == body


def failing(api: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    records = api.client.kernel.services[Records]

    def read(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(records, "read", read)
    return api.get("items")


def test_the_database_s_own_failure_is_logged_and_said(
    api: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = DatabaseUnavailable("the database is locked", sqlstate="55P03", hint="Try again.")
    with caplog.at_level(logging.ERROR):
        reply = failing(api, monkeypatch, error).expect(503)
    assert reply.json() == {
        "code": "55P03", "details": None, "hint": "Try again.", "message": "the database is locked",
    }  # fmt: skip
    assert "request failed" in caplog.text
    assert ("retry-after", "1") in reply.headers
    error.retry_after = None
    assert "retry-after" not in dict(failing(api, monkeypatch, error).expect(503).headers)


def test_a_fault_of_the_server_tells_no_more_than_its_id(
    api: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = failing(api, monkeypatch, RuntimeError("the password is hunter2")).expect(500)
    error = reply.json()
    assert error["code"] == "PGRSTX00"
    assert "hunter2" not in reply.text
    assert error["details"].startswith("error id ")


def test_errors_of_the_kernel_s_own_come_in_the_same_shape(api: Any) -> None:
    limit = api.client.kernel.dispatcher._max_body_bytes
    error = api.post("items", body=b" " * (limit + 1)).expect(413).json()
    assert list(error) == ["code", "details", "hint", "message"]


def test_a_method_that_no_table_has_is_refused_in_the_same_shape(api: Any) -> None:
    reply = api.client.request("TRACE", "/rest/v1/items").expect(405)
    assert (reply.json()["code"], reply.json()["message"]) == ("PGRST117", "Unsupported HTTP method: TRACE")
    assert reply.header("proxy-status") == "PostgREST; error=PGRST117"
    assert "PATCH" in reply.header("allow")
