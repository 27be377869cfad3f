"""The HTTP handlers."""

from __future__ import annotations

import msgspec

from kernel import Kernel, Request
from kernel_greeting.greetings import GreetingSent, Tally

PATH = "/greeting/v1"


class Greeting(msgspec.Struct, frozen=True):
    """What a greeted person gets."""

    message: str


class Greetings:
    """Greets, and tells how often."""

    def __init__(self, kernel: Kernel, salutation: str, tally: Tally) -> None:
        self._kernel = kernel
        self._salutation = salutation
        self._tally = tally

    def greet(self, request: Request, name: str) -> Greeting:
        """Greet `name`."""
        message = f"{self._salutation}, {name}"
        message = self._kernel.hooks.greeting_decorate(name=name, message=message) or message
        self._kernel.events.publish(GreetingSent(name, message))
        return Greeting(message)

    def count(self, request: Request) -> dict[str, int]:
        """Return how often each person has been greeted by this process."""
        return self._tally.by_person()
