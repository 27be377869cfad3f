from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kernel import FileBody, HTTPError, Problem, Request, Response
from kernel.http import reason, respond
from kernel.testing.client import Headers


class Item(msgspec.Struct):
    name: str


def request(query: str = "", **headers: str) -> Request:
    lines = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("GET", "/", query, Headers(lines))


def test_the_query_keeps_order_repeats_and_empty_values() -> None:
    assert request("b=2&a=%20x+y&b=&c").query_items == [("b", "2"), ("a", " x y"), ("b", ""), ("c", "")]
    assert request("").query_items == []


def test_a_repeated_header_gives_all_its_values() -> None:
    lines = Headers([("Accept", "a"), ("X", "1"), ("accept", "b")])
    assert Request("GET", "/", "", lines).header_values("accept") == ["a", "b"]


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("12", 12), ("007", 7)])
def test_a_content_length_is_a_number(text: str, length: int) -> None:
    assert request(content_length=text).content_length == length


@pytest.mark.parametrize("text", ["-1", "+1", "1.0", "1e3", " 1", "1,1", "0x1", "²", "٣", "9" * 19, "abc"])
def test_a_content_length_that_is_no_number_is_400(text: str) -> None:
    with pytest.raises(HTTPError, match="Content-Length is not a number") as raised:
        _ = request(content_length=text).content_length
    assert raised.value.status == 400


def test_state_belongs_to_one_request() -> None:
    one, other = request(), request()
    one.state["shop"] = 1
    assert (one.state, other.state) == ({"shop": 1}, {})


def test_what_a_handler_returns_becomes_a_response() -> None:
    made = Response(b"x", 201, [("x-one", "1")])
    copy = respond(made)
    assert (copy.status, copy.body, copy.headers) == (201, b"x", [("x-one", "1")])
    copy.headers.append(("x-two", "2"))
    assert made.headers == [("x-one", "1")]
    for value, status, kind, body in [
        (None, 204, None, b""),
        (b"\x00", 200, "application/octet-stream", b"\x00"),
        ("é", 200, "text/plain; charset=utf-8", "é".encode()),
        (Item("tea"), 200, "application/json", b'{"name":"tea"}'),
        ([1, 2], 200, "application/json", b"[1,2]"),
        ({}, 200, "application/json", b"{}"),
        (False, 200, "application/json", b"false"),
    ]:
        response = respond(value)
        assert (response.status, response.header("content-type"), response.body) == (status, kind, body)
    stream = iter([b"a"])
    assert respond(stream).body is stream


def test_response_headers_come_from_a_mapping_or_pairs_and_are_the_responses_own() -> None:
    given = [("x", "1")]
    response = Response(headers=given)
    response.headers.append(("y", "2"))
    assert given == [("x", "1")]
    assert Response(headers={"x": "1"}, content_type="text/html").headers == [
        ("x", "1"),
        ("content-type", "text/html"),
    ]
    assert Response.json(1, 202, {"x": "1"}).header("x") == "1"
    assert response.header("absent") is None


def test_a_file_is_sent_to_its_end_by_default(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert (FileBody(tmp_path / "f").start, FileBody(tmp_path / "f", 2).end) == (0, 5)


def test_a_problem_is_rendered_as_rfc_9457_without_empty_members() -> None:
    response = Problem("Conflict", 409, error_id="e1", extensions={"row": 3}).response()
    assert response.status == 409
    assert response.header("content-type") == "application/problem+json"
    assert isinstance(response.body, bytes)
    assert msgspec.json.decode(response.body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "error_id": "e1",
        "row": 3,
    }


def test_an_http_error_takes_its_title_from_the_status() -> None:
    assert (HTTPError(404).title, HTTPError(404, title="Gone fishing").title) == ("Not Found", "Gone fishing")
    assert reason(299) == "Error"
    assert str(HTTPError(409, "taken")) == "taken"
