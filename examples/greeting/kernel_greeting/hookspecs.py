"""The hooks that other plugins may implement."""

from __future__ import annotations

from kernel import hookspec


class GreetingHooks:
    """What the greeting plugin asks other plugins; they implement it by name, with no import."""

    @hookspec(firstresult=True)
    def greeting_decorate(self, name: str, message: str) -> str | None:
        """Return what to say to `name` instead of `message`, or None; the first that is not None is said."""
