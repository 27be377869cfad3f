"""The event bus: declared, typed events, delivered in order to whoever subscribed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from kernel.errors import EventError, nearest
from kernel.sources import Ids

Listener = Callable[[Any], None]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){2}")
_log = logging.getLogger("kernel.events")


class Event(msgspec.Struct, frozen=True):
    """Something that has happened; subclasses are frozen structs with a `name` like ``owner.thing.happened``."""

    name: ClassVar[str] = ""


class BeforeEvent(Event, frozen=True):
    """Something about to happen; a listener stops it by raising `Veto`."""


class Veto(Exception):
    """Raised by a listener of a `BeforeEvent` to stop the action; `reason` may be shown to the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventBus:
    """Delivers events to their listeners, on the publisher's thread.

    Listeners run in the order in which they subscribed; plugins start in dependency order, so that order is the
    same on every boot. A listener that raises is logged with an id and counted in `failures`; it stops neither
    the publisher nor the other listeners. Only `Veto`, and only from a `BeforeEvent`, reaches the publisher.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._declared: dict[str, type[Event]] = {}
        self._subscriptions: list[tuple[str, str, Listener]] = []
        self._table: dict[type[Event], tuple[tuple[str, Listener], ...]] = {}
        self._frozen = False
        self.failures: dict[str, int] = {}

    def declare(self, owner: str, events: Iterable[type[Event]]) -> None:
        """Make events of `owner` known; each name is ``owner.thing.happened`` and belongs to one class."""
        for event in events:
            if not _NAME.fullmatch(event.name):
                raise EventError(
                    f"plugin {owner!r} declares the event {event.__name__} with the name {event.name!r}; "
                    "a name has three parts in lower case, like 'owner.thing.happened'"
                )
            in_contract = event.__module__.startswith("kernel.contracts.")
            if event.name.split(".")[0] != owner and not in_contract:
                raise EventError(
                    f"plugin {owner!r} declares the event {event.name!r}; its first part must be {owner!r}"
                )
            if self._declared.setdefault(event.name, event) is not event:
                raise EventError(f"the event {event.name!r} is declared twice, now by plugin {owner!r}")
        self._compile()

    @property
    def declared(self) -> dict[str, type[Event]]:
        """The known events by name."""
        return dict(self._declared)

    def subscribe(
        self, pattern: str | type[Event], listener: Listener, *, owner: str = ""
    ) -> Callable[[], None]:
        """Call `listener` with every event that matches; return the undo.

        `pattern` is an event class, a name, or ``owner.*``. `owner` names the subscriber in logs and defaults to
        the listener's module. The bus is closed to new subscriptions once the kernel is ready.
        """
        if self._frozen:
            raise EventError(
                f"cannot subscribe to {pattern!r}: subscriptions close when the kernel is ready; "
                "subscribe in kernel_start"
            )
        name = pattern if isinstance(pattern, str) else pattern.name
        subscription = (name, owner or getattr(listener, "__module__", "?"), listener)
        self._subscriptions.append(subscription)
        self._compile()

        def undo() -> None:
            # By identity: another subscription may be equal to this one.
            for index, other in enumerate(self._subscriptions):
                if other is subscription:
                    del self._subscriptions[index]
                    self._compile()
                    return

        return undo

    def freeze(self) -> None:
        """Check every subscription against the declarations and close the bus to new ones."""
        for pattern, owner, _ in self._subscriptions:
            if not any(_matches(pattern, name) for name in self._declared):
                hint = nearest(pattern, self._declared)
                raise EventError(
                    f"{owner!r} subscribes to {pattern!r}, which no enabled plugin declares{hint}"
                )
        self._frozen = True

    def publish(self, event: Event) -> None:
        """Deliver `event`; raises `Veto` only for a `BeforeEvent`. With no listener it costs one look-up."""
        listeners = self._table.get(type(event))
        if listeners is None:
            raise EventError(f"{type(event).__name__} was published but no plugin declares it")
        for owner, listener in listeners:
            try:
                listener(event)
            except Exception as error:
                if isinstance(error, Veto) and isinstance(event, BeforeEvent):
                    raise
                self._failed(event, owner)

    def _compile(self) -> None:
        self._table = {
            event: tuple(
                (owner, listener)
                for pattern, owner, listener in self._subscriptions
                if _matches(pattern, name)
            )
            for name, event in self._declared.items()
        }

    def _failed(self, event: Event, owner: str) -> None:
        self.failures[owner] = self.failures.get(owner, 0) + 1
        _log.exception(
            "listener failed",
            extra={"event_name": event.name, "listener": owner, "error_id": self._ids.token()},
        )


def _matches(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1]))
