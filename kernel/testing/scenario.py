"""Scenario tables: one request, its answer, and the events it may cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from kernel.testing.client import Reply
from kernel.testing.recorder import ExpectedEvents

if TYPE_CHECKING:
    import pytest

    from kernel.testing.factory import KernelUnderTest


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One request and all that is expected of it.

    `body` is bytes or text, sent as it is, or any other value, sent as JSON. `role` sends the request
    ``as_role``. `expect_json` is compared whole (``unittest.mock.ANY`` stands for anything in it), of
    `expect_text` each piece must occur, of `expect_headers` each named header must have that value, or be
    absent where the value is None. `expect_events` names the events published meanwhile, as
    `Recorder.expect_events` takes them; ``"any"`` leaves them unchecked.
    """

    name: str
    path: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: Any = b""
    role: str | None = None
    expect_status: int = 200
    expect_json: Any = msgspec.UNSET
    expect_text: tuple[str, ...] | str = ()
    expect_headers: Mapping[str, str | None] = {}
    expect_events: ExpectedEvents | Literal["any"] = "any"

    def __str__(self) -> str:
        return self.name

    def run(self, kernel: KernelUnderTest) -> Reply:
        """Send the request and assert what is expected; return the reply for further questions."""
        client = kernel.client if self.role is None else kernel.client.as_role(self.role)
        kernel.recorder.clear()
        raw = isinstance(self.body, bytes | str)
        content = {"body": self.body} if raw else {"json": self.body}
        reply = client.request(self.method, self.path, headers=self.headers, **content)
        reply.expect(self.expect_status)
        if self.expect_json is not msgspec.UNSET:
            actual = reply.json()
            assert self.expect_json == actual, f"expected {self.expect_json!r}, answered {actual!r}"
        pieces = (self.expect_text,) if isinstance(self.expect_text, str) else self.expect_text
        for piece in pieces:
            assert piece in reply.text, f"{piece!r} is not in {reply.text[:2000]!r}"
        for name, value in self.expect_headers.items():
            actual = reply.header(name)
            assert actual == value, f"header {name}: expected {value!r}, answered {actual!r}"
        if self.expect_events != "any":
            kernel.recorder.expect_events(self.expect_events)
        return reply


def scenarios(*table: Scenario) -> pytest.MarkDecorator:
    """Parametrize a test's argument ``scenario`` over a table; the rows' names become the ids."""
    import pytest

    return pytest.mark.parametrize("scenario", table, ids=str)
