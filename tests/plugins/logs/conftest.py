"""Kernels with nothing but the logs plugin, and what they write."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kernel import Identity, Kernel, Request, Response
from kernel.config import Config
from plugins.logs import LogsPlugin


class Logged:
    """A started kernel whose stderr is kept; `stop` writes what is queued."""

    def __init__(self, stack: ExitStack, stream: io.StringIO, settings: dict[str, Any]) -> None:
        self.stream = stream
        self.kernel = Kernel(Config({"logs": settings}), plugins=[LogsPlugin], role="test")
        stack.callback(self.kernel.stop)
        self.kernel.start()
        plugin = self.kernel.plugins["logs"]
        assert isinstance(plugin, LogsPlugin)
        self.plugin = plugin

    def request(
        self,
        path: str = "/rest/v1/notes",
        query: str = "",
        *,
        status: int = 200,
        seconds: float = 0.001,
        method: str = "GET",
        identity: Identity | None = None,
        **headers: str,
    ) -> None:
        request = Request(method, path, query, headers)
        request.id, request.identity = "r1", identity
        self.plugin.kernel_request_done(request, Response(status=status), seconds)

    @property
    def text(self) -> str:
        """All that was written, once the kernel has stopped."""
        self.kernel.stop()
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines, without the kernel's own "ready" and "stopping"."""
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["event"] not in ("ready", "stopping")]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Logged]]:
    """Return a function that starts a kernel with these settings; Python's loggers must end as they began."""
    stream, before = io.StringIO(), loggers()
    with ExitStack() as stack:

        def start(**settings: Any) -> Logged:
            monkeypatch.setattr(sys, "stderr", stream)
            return Logged(stack, stream, {"format": "json", **settings})

        yield start
    assert loggers() == before


def loggers() -> tuple[list[str], int]:
    """What a kernel could leave behind in Python's loggers."""
    handlers = [type(handler).__name__ for handler in logging.getLogger().handlers]
    return [name for name in handlers if name == "LogsHandler"], logging.getLogger("kernel").level
