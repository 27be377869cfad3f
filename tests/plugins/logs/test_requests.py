"""The line of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Identity, Request, Response
from plugins.logs.entries import RequestDone
from plugins.logs.rendering import as_json, pretty


def test_a_line_says_what_was_asked_by_whom_and_how_it_went(logged: Callable[..., Any]) -> None:
    kernel = logged()
    kernel.request(query="select=id", identity=Identity("authenticated", "u1", {"email": "a@b.c"}))

    (line,) = kernel.lines

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "kernel.request",
        "event": "request",
        "method": "GET",
        "path": "/rest/v1/notes",
        "query": "select=id",
        "status": 200,
        "ms": 1.0,
        "request": "r1",
        "role": "authenticated",
        "subject": "u1",
    }


def test_the_trace_id_is_in_the_line(logged: Callable[..., Any]) -> None:
    kernel = logged()
    request = Request("GET", "/", "", {})
    request.trace = "0af7651916cd43dd8448eb211c80319c"
    kernel.plugin.kernel_request_done(request, Response(), 0.1)

    assert kernel.lines[0]["trace"] == request.trace


@pytest.mark.parametrize(
    ("path", "status", "seconds", "level"),
    [
        ("/x", 200, 0.1, "info"),
        ("/x", 404, 0.1, "info"),
        ("/x", 503, 0.1, "error"),
        ("/x", 200, 1.1, "warning"),
    ],
)
def test_failures_and_slow_requests_stand_out(
    logged: Callable[..., Any], path: str, status: int, seconds: float, level: str
) -> None:
    kernel = logged()
    kernel.request(path, status=status, seconds=seconds)

    assert [line["level"] for line in kernel.lines] == [level]


def test_what_is_slow_is_a_setting(logged: Callable[..., Any]) -> None:
    never, soon = logged(slow_ms=0), logged(slow_ms=10)
    never.request("/never", seconds=100)
    soon.request("/soon", seconds=0.02)

    levels = {line["path"]: line["level"] for line in [*soon.lines, *never.lines]}

    assert levels == {"/never": "info", "/soon": "warning"}


def test_probes_are_seen_at_debug_only(logged: Callable[..., Any]) -> None:
    quiet, loud = logged(), logged(level="debug")
    quiet.request("/healthz")
    loud.request("/readyz")

    assert [line["path"] for line in [*loud.lines, *quiet.lines] if "path" in line] == ["/readyz"] * 2
    assert quiet.text.count("/healthz") == 0


def test_request_lines_can_be_switched_off(logged: Callable[..., Any]) -> None:
    kernel = logged(requests=False)
    kernel.request()

    assert kernel.lines == []


@pytest.mark.parametrize(
    "query",
    [
        "apikey=hidden-value",
        "select=id&token=hidden-value&x=1",
        "%61pikey=hidden-value",
        "Access_Token=hidden-value",
        "code=hidden-value",
        "x=eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.hidden-value",
        "x=sb_secret_hidden-value",
        f"x={'a' * 600}&y=hidden-value",
    ],
)
@pytest.mark.parametrize("style", ["json", "pretty"])
def test_secrets_in_a_query_are_hidden(logged: Callable[..., Any], query: str, style: str) -> None:
    kernel = logged(format=style)
    kernel.request(query=query)

    assert "/rest/v1/notes" in kernel.text
    assert "hidden-value" not in kernel.text


def test_headers_are_not_in_the_line(logged: Callable[..., Any]) -> None:
    kernel = logged()
    kernel.request(authorization="Bearer hidden-value", apikey="hidden-value", cookie="hidden-value")

    assert "hidden-value" not in kernel.text


HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("\n\r\x1b\x9b\u2028\u2029\u0085\u202e\ud800\"'\\ ={}"), st.characters()
    )
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(method=HOSTILE, path=HOSTILE, query=HOSTILE, role=HOSTILE, subject=HOSTILE)
def test_no_request_can_forge_a_line(method: str, path: str, query: str, role: str, subject: str) -> None:
    from datetime import UTC, datetime

    entry = RequestDone(
        datetime.now(UTC), "info", method, path, query, 200, 0.1, "id", None, Identity(role, subject)
    )
    text = as_json(entry)

    assert len(text.splitlines()) == 1
    assert json.loads(text)["status"] == 200
    assert text.isprintable() or not any(c in text for c in "\x1b\x7f\x9b\u2028\u202e")
    shown = pretty(colours=False)(entry)
    assert shown.isprintable()
