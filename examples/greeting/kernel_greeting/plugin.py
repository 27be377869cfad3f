"""The plugin's face: its settings, its hooks, and what they are wired to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from kernel import Plugin, Request, Response, Route, hookimpl, nonblocking
from kernel_greeting.greetings import GreetingSent, Tally
from kernel_greeting.hookspecs import GreetingHooks
from kernel_greeting.routes import PATH, Greetings


class GreetingSettings(msgspec.Struct, frozen=True):
    """``[greeting]`` in kernel.toml."""

    salutation: Annotated[str, msgspec.Meta(min_length=1, description="What a greeting begins with.")] = (
        "Hello"
    )
    language: Annotated[
        str, msgspec.Meta(pattern="^[a-z]{2}$", description="Language of the salutation, as in ISO 639-1.")
    ] = "en"


class GreetingPlugin(Plugin):
    """Greets people by name, and counts how often."""

    name = "greeting"
    Settings = GreetingSettings
    settings: GreetingSettings
    hookspecs = (GreetingHooks,)
    events = (GreetingSent,)

    @hookimpl
    def kernel_start(self) -> None:
        """Count the greetings of this process."""
        self.tally = Tally()
        self.kernel.events.subscribe(GreetingSent, self.tally.count, owner=self.name)

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        """Serve the greetings and their number."""
        greetings = Greetings(self.kernel, self.settings.salutation, self.tally)
        yield Route("GET", f"{PATH}/{{name}}", greetings.greet, summary="Greet someone")
        yield Route("GET", PATH, greetings.count, summary="How often has who been greeted?")

    @hookimpl
    @nonblocking
    def kernel_after_request(self, request: Request, response: Response) -> None:
        """Say in which language the greetings are."""
        if request.path.startswith(f"{PATH}/") and response.status == 200:
            response.headers.append(("content-language", self.settings.language))
