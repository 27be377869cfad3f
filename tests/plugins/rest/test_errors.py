"""Errors in PostgREST's shape, whoever found them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.contracts.records import Records
from kernel.identity import Identity
from plugins.rest.errors import translate

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


def test_there_is_no_description_of_the_tables(api: Any) -> None:
    assert api.get("").expect(404).json()["code"] == "PGRST126"
    assert api.post("", json={}).expect(405).json()["code"] == "PGRST117"


def test_errors_of_the_kernel_s_own_come_in_the_same_shape(api: Any) -> None:
    limit = api.client.kernel.dispatcher._max_body_bytes
    error = api.post("items", body=b" " * (limit + 1)).expect(413).json()
    assert list(error) == ["code", "details", "hint", "message"]


def test_a_method_that_no_table_has_is_refused_in_the_same_shape(api: Any) -> None:
    reply = api.client.request("TRACE", "/rest/v1/items").expect(405)
    assert (reply.json()["code"], reply.json()["message"]) == ("PGRST117", "Unsupported HTTP method: TRACE")
    assert reply.header("proxy-status") == "PostgREST; error=PGRST117"
    assert "PATCH" in reply.header("allow")
