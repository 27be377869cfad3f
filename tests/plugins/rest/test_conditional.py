"""ETag and If-Match: nobody writes over what he has not seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

OBJECT = {"accept": "application/vnd.pgrst.object+json"}


def tag_of(api: Any, path: str, **options: Any) -> Any:
    return api.get(path, **options).expect(200).header("etag")


def test_a_row_that_is_read_whole_has_a_tag(api: Any) -> None:
    tag = tag_of(api, "pairs?a=eq.1&b=eq.x")
    assert tag.startswith('"')
    assert tag_of(api, "pairs?b=eq.x", headers=OBJECT) == tag
    assert tag_of(api, "pairs?a=eq.1&b=eq.y") != tag
    for path in ("pairs?a=eq.1", "pairs?a=eq.9", "pairs?select=value&b=eq.x"):
        assert tag_of(api, path) is None


def test_what_is_known_already_is_not_sent_again(api: Any) -> None:
    tag = tag_of(api, "pairs?b=eq.x")
    assert api.get("pairs?b=eq.x", headers={"if-none-match": tag}).expect(304).body == b""
    api.patch("pairs?b=eq.x", json={"value": "new"}).expect(204)
    api.get("pairs?b=eq.x", headers={"if-none-match": tag}).expect(200)


@pytest.mark.parametrize("method", ["patch", "put", "delete"])
def test_a_write_with_the_tag_of_an_older_row_changes_nothing(api: Any, method: str) -> None:
    path, body = "pairs?a=eq.1&b=eq.x", {"a": 1, "b": "x", "value": "mine"}
    options: Any = {} if method == "delete" else {"json": body}
    old = {"if-match": tag_of(api, path)}
    api.patch(path, json={"value": "theirs"}).expect(204)
    error = getattr(api, method)(path, headers=old, **options).expect(412).json()
    assert error["code"] == "PGRST412"
    assert api.rows(f"{path}&select=value") == [{"value": "theirs"}]
    new = {"if-match": f'"other", {tag_of(api, path)}'}
    getattr(api, method)(path, headers=new, **options).expect(204)
    assert api.rows(f"{path}&select=value") == ([] if method == "delete" else [{"value": "mine"}])


def test_any_row_will_do_for_a_star_and_none_will_not(api: Any) -> None:
    star = {"if-match": "*"}
    api.patch("pairs?b=eq.x", json={"value": "v"}, headers=star).expect(204)
    api.patch("pairs?b=eq.nothing", json={"value": "v"}, headers=star).expect(412)


def test_of_two_that_have_read_the_same_row_one_writes(api: Any) -> None:
    path = "items?id=eq.1"
    for number in range(10):
        tag = tag_of(api, path)

        def write(name: str, tag: str = tag) -> int:
            return int(api.patch(path, json={"name": name}, headers={"if-match": tag}).status)

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(write, [f"{number} {writer}" for writer in range(4)]))
        assert statuses == [204, 412, 412, 412]
