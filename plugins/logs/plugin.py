"""The plugin: settings, the request hook and the bridge's place in a kernel's life."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import msgspec

from kernel import Kernel, Plugin, Request, Response, hookimpl, nonblocking
from plugins.logs.entries import RequestDone
from plugins.logs.handler import LogsHandler
from plugins.logs.rendering import Render, as_json, pretty
from plugins.logs.writer import Writer

_PROBES = frozenset({"/healthz", "/readyz"})
_ORDER = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogsSettings(msgspec.Struct, frozen=True):
    """The section ``[logs]``."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        msgspec.Meta(description="The least level that is written."),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "pretty"],
        msgspec.Meta(description="How lines look; auto is pretty on a terminal and JSON elsewhere."),
    ] = "auto"
    requests: Annotated[bool, msgspec.Meta(description="Write a line for each request.")] = True
    slow_ms: Annotated[
        int, msgspec.Meta(ge=0, description="A request that took longer is a warning; 0 never warns.")
    ] = 1000
    queue: Annotated[
        int,
        msgspec.Meta(
            ge=1, description="How many lines may wait to be written; more are dropped and counted."
        ),
    ] = 10_000


class LogsPlugin(Plugin):
    """Structured logs of requests and of the kernel's life, on stderr."""

    name = "logs"
    Settings = LogsSettings
    settings: LogsSettings

    def __init__(self, kernel: Kernel, settings: LogsSettings) -> None:
        super().__init__(kernel, settings)
        self._least = _ORDER[settings.level]
        self._slow = settings.slow_ms / 1000 if settings.slow_ms else float("inf")
        self._now = kernel.clock.now
        self._writer: Writer | None = None
        self._handler: LogsHandler | None = None

    @hookimpl
    def kernel_prepare(self) -> None:
        """Begin here and not in ``kernel_start``, so that what others prepare is logged."""
        self._writer = Writer(sys.stderr, self._render, limit=self.settings.queue)
        self._handler = LogsHandler(self._writer, self._least)
        self._handler.attach()

    @hookimpl(trylast=True)
    @nonblocking
    def kernel_request_done(self, request: Request, response: Response, seconds: float) -> None:
        """Queue the request's line."""
        status = response.status
        level = self._level(request.path, status, seconds)
        if self._writer is None or not self.settings.requests or _ORDER[level] < self._least:
            return
        self._writer.put(
            RequestDone(
                self._now(), level, request.method, request.path, request.query, status, seconds, request.id,
                request.trace, request.identity,
            )
        )  # fmt: skip

    @hookimpl
    def kernel_stop(self) -> None:
        """Write what is queued and let go of Python's logging."""
        if self._handler is not None:
            self._handler.detach()
        if self._writer is not None:
            self._writer.close()

    def _level(self, path: str, status: int, seconds: float) -> str:
        if status >= 500:
            return "error"
        if seconds > self._slow:
            return "warning"
        return "debug" if path in _PROBES else "info"

    def _render(self) -> Render:
        terminal = sys.stderr.isatty()
        if self.settings.format == "json" or (self.settings.format == "auto" and not terminal):
            return as_json
        return pretty(colours=terminal and "NO_COLOR" not in os.environ)
