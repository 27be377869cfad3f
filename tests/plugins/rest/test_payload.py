"""What a request body means."""

from __future__ import annotations

import msgspec
import pytest

from kernel.http import Request
from kernel.testing.client import Headers
from plugins.rest.errors import RestError
from plugins.rest.payload import MAX_DEPTH, Payload, payload


def read(
    body: bytes | str, content_type: str | None = None, columns: tuple[str, ...] | None = None
) -> Payload:
    headers = {} if content_type is None else {"content-type": content_type}
    request = Request("POST", "/rest/v1/t", "", Headers(headers))
    return payload(request, body.encode() if isinstance(body, str) else body, columns)


def refusal(body: bytes | str, content_type: str | None = None) -> tuple[str, str]:
    with pytest.raises(RestError) as caught:
        read(body, content_type)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def test_an_object_is_one_row() -> None:
    found = read('{"a":1,"b":null}')
    assert (found.columns, found.text, len(found.rows)) == (("a", "b"), '[{"a":1,"b":null}]', 1)


def test_an_array_is_its_rows_digit_for_digit() -> None:
    found = read('[ {"a":1}, {"a":2.50} ]')
    assert (found.columns, found.text, len(found.rows)) == (("a",), '[{"a":1},{"a":2.50}]', 2)


def test_of_a_repeated_member_the_last_counts() -> None:
    assert read('{"a":1,"b":2,"a":3}').text == '[{"a":3,"b":2}]'


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "true"])
def test_no_objects_are_no_rows(body: str) -> None:
    found = read(body)
    assert (found.columns, msgspec.json.decode(found.text), found.rows) == ((), [], [])


def test_columns_override_the_members_and_lift_the_need_for_equal_ones() -> None:
    assert read('[{"a":1},{"b":2}]', columns=("a", "b", "a")).columns == ("a", "b")


@pytest.mark.parametrize(
    "body", ["", "{", "{'a':1}", '{"a":01}', "[1,", b"\xff", b'{"a":"\xff"}', '{"a":"\\ud800"}', "nope"]
)
def test_broken_json(body: bytes | str) -> None:
    assert refusal(body) == ("PGRST102", "Empty or invalid json")


@pytest.mark.parametrize(
    "body", ['[{"a":1},{"b":1}]', '[{"a":1},2]', "[1,2]", '[{"a":1},{"a":1,"b":2}]', "[[]]"]
)
def test_objects_must_have_the_same_members(body: str) -> None:
    assert refusal(body) == ("PGRST102", "All object keys must match")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_json_too_deep_for_a_database_is_refused(depth: int) -> None:
    code, _ = refusal('{"a":' + "[" * depth + "]" * depth + "}")
    assert code == "PGRST102"


def test_wide_json_is_not_deep() -> None:
    assert read('{"a":[' + ",".join(["[]"] * 2000) + "]}").columns == ("a",)
    assert read('{"a":["' + "[" * 2000 + '"]}').columns == ("a",)


def test_a_nul_character_is_refused_but_not_its_escaped_look() -> None:
    assert refusal('{"a":"x\\u0000"}')[0] == "22P05"
    assert read('{"a":"x\\\\u0000"}').columns == ("a",)


def test_csv() -> None:
    found = read('a,"b c"\n1,NULL\n"x,y",""\n', "text/csv; charset=utf-8")
    assert found.columns == ("a", "b c")
    assert msgspec.json.decode(found.text) == [{"a": "1", "b c": None}, {"a": "x,y", "b c": ""}]


def test_csv_lines_must_be_equally_long() -> None:
    assert refusal("a,b\n1", "text/csv") == ("PGRST102", "All lines must have same number of fields")


def test_broken_csv() -> None:
    assert refusal('a\n"b', "text/csv")[0] == "PGRST102"
    assert refusal("a\rb\x00", "text/csv")[0] in ("PGRST102", "22P05")


def test_form() -> None:
    assert msgspec.json.decode(read("a=1&b=x+y", "application/x-www-form-urlencoded").text) == [
        {"a": "1", "b": "x y"}
    ]


def test_other_content_types_are_refused() -> None:
    assert refusal("<a/>", "application/xml") == ("PGRST102", "Content-Type not acceptable: application/xml")


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b'\xef\xbb\xbf{"a":1}').columns == ("a",)
    assert read(b"\xef\xbb\xbfa\n1", "text/csv").columns == ("a",)


@pytest.mark.parametrize(
    ("encoding", "fine"), [("identity", True), ("", True), ("gzip", False), ("br", False)]
)
def test_a_body_is_read_as_it_is_and_never_decompressed(encoding: str, fine: bool) -> None:
    request = Request("POST", "/rest/v1/t", "", Headers({"content-encoding": encoding}))
    if fine:
        assert payload(request, b'{"a":1}', None).columns == ("a",)
        return
    with pytest.raises(RestError, match=f"Content-Encoding not acceptable: {encoding}"):
        payload(request, b'{"a":1}', None)


def test_a_field_of_csv_that_is_too_long_is_refused_in_so_many_words() -> None:
    assert "more than 131072 characters" in refusal("a\n" + "x" * 200_000, "text/csv")[1]
