"""Tables answer nobody but those who were granted something, and the service role."""

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
def test_anonymous_callers_are_asked_for_a_token(api: Any, method: str, body: str) -> None:
    for headers in ({}, {"x-role": "anon"}):
        reply = api.anonymous.request(method, "/rest/v1/clients?id=eq.9", body=body, headers=headers).expect(
            401
        )
        assert reply.header("www-authenticate") == "Bearer"
        if method != "HEAD":
            error = reply.json()
            assert (error["code"], error["message"]) == ("42501", "permission denied for table clients")


def test_the_refusal_names_the_statement_that_opens_the_table(api: Any) -> None:
    error = api.anonymous.get("/rest/v1/clients").expect(401).json()
    assert error["hint"] == "To allow it: grant select on public.clients to anon;"


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_other_roles_are_forbidden(api: Any, method: str, body: str) -> None:
    reply = api.anonymous.request(
        method, "/rest/v1/clients?id=eq.9", body=body, headers={"x-role": "authenticated"}
    )
    reply.expect(403)
    assert len(api.rows("clients")) == 2
