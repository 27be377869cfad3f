"""Until tables have rights of their own, they answer the service role alone."""

from __future__ import annotations

from typing import Any

import pytest

CALLS = [
    ("GET", ""),
    ("HEAD", ""),
    ("POST", '{"id":9,"name":"x"}'),
    ("PUT", '{"id":9}'),
    ("PATCH", '{"name":"x"}'),
    ("DELETE", ""),
    ("OPTIONS", ""),
]


@pytest.mark.parametrize(("method", "body"), CALLS)
@pytest.mark.parametrize("table", ["clients", "nope"])
def test_anonymous_callers_are_asked_for_a_token(api: Any, method: str, body: str, table: str) -> None:
    for headers in ({}, {"x-role": "anon"}):
        reply = api.anonymous.request(method, f"/rest/v1/{table}?id=eq.9", body=body, headers=headers).expect(
            401
        )
        assert reply.header("www-authenticate") == "Bearer"
        if method != "HEAD":
            error = reply.json()
            assert (error["code"], error["message"]) == ("42501", f"permission denied for table {table}")
            assert "service_role" in error["hint"]


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_other_roles_are_forbidden(api: Any, method: str, body: str) -> None:
    reply = api.anonymous.request(
        method, "/rest/v1/clients?id=eq.9", body=body, headers={"x-role": "authenticated"}
    )
    reply.expect(403)
    assert len(api.rows("clients")) == 2
