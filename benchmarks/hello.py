"""The plugin that the measurements load: one small JSON route, run in each of the three ways."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kernel import Plugin, Request, Route, hookimpl


class Greeting(msgspec.Struct, frozen=True):
    """The answer."""

    message: str


class HelloPlugin(Plugin):
    """Greets, on a thread, on the event loop and inline."""

    name = "hello"

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        """Serve the three."""
        yield Route("GET", "/hello/{name}", self.greet)
        yield Route("GET", "/hello-async/{name}", self.greet_async)
        yield Route("GET", "/hello-inline/{name}", self.greet, inline=True)

    def greet(self, request: Request, name: str) -> Greeting:
        """Greet."""
        return Greeting(f"Hello, {name}")

    async def greet_async(self, request: Request, name: str) -> Greeting:
        """Greet."""
        return Greeting(f"Hello, {name}")
