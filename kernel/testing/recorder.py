"""Records what a kernel's plugins are asked and what they publish, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Literal

import msgspec
import pluggy

from kernel.events import Event, EventBus
from kernel.sources import Ids

ExpectedEvents = Mapping[str, int] | set[str] | Literal["none"]


class HookCall(msgspec.Struct, frozen=True):
    """One call of one plugin's implementation of a hook, with its arguments by position."""

    plugin: str
    hook: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.plugin}.{self.hook}"


class Recorder:
    """The events and hook calls of one kernel since its plugins were prepared, or since `clear`.

    What happens in ``kernel_prepare`` is left out: a kernel that starts from a migrated image does less there
    than the first one did.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls: list[HookCall] = []

    def clear(self) -> None:
        """Forget everything so far."""
        self.events.clear()
        self.calls.clear()

    @property
    def event_names(self) -> list[str]:
        """The published events' names, in order."""
        return [event.name for event in self.events]

    def of(self, kind: type[Event] | str) -> list[Any]:
        """Return the published events of a class, or of a name."""
        name = kind if isinstance(kind, str) else kind.name
        return [event for event in self.events if event.name == name]

    def called(self, hook: str) -> list[str]:
        """Return the plugins whose implementation of `hook` was called, in order."""
        return [call.plugin for call in self.calls if call.hook == hook]

    def expect_events(self, expected: ExpectedEvents) -> None:
        """Assert which events were published: names with counts, a set of names, or ``"none"``."""
        seen = Counter(self.event_names)
        if expected == "none":
            assert not seen, f"no event was expected, but these were published: {self.event_names}"
        elif isinstance(expected, Mapping):
            assert dict(seen) == dict(expected), f"expected {dict(expected)}, published {dict(seen)}"
        else:
            assert set(seen) == set(expected), f"expected {set(expected)}, published {set(seen)}"

    def watch_hooks(self, manager: pluggy.PluginManager) -> None:
        """Record every call of the implementations registered with `manager`, however they are called."""
        for name, caller in vars(manager.hook).items():
            if isinstance(caller, pluggy.HookCaller):
                for implementation in caller.get_hookimpls():
                    implementation.function = self._recorded(  # type: ignore[misc]
                        implementation.plugin_name, name, implementation.function
                    )

    def _recorded(self, plugin: str, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def recorded(*arguments: Any) -> Any:
            self.calls.append(HookCall(plugin, hook, arguments))
            return function(*arguments)

        return recorded


class RecordingBus(EventBus):
    """An event bus that notes every published event before it is delivered, vetoed ones included."""

    def __init__(self, ids: Ids, recorder: Recorder) -> None:
        super().__init__(ids)
        self._recorder = recorder

    def publish(self, event: Event) -> None:
        """Note `event`, then deliver it."""
        self._recorder.events.append(event)
        super().publish(event)
