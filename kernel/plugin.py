"""What a plugin is: the base class it extends and the record the kernel keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import msgspec
import pluggy

from kernel.events import Event
from kernel.http import Problem, Request, Response

if TYPE_CHECKING:
    from kernel.kernel import Kernel

PROJECT = "backend_kernel"
API_VERSION = 1

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)

F = TypeVar("F", bound=Callable[..., Any])

Status = Literal["discovered", "registered", "prepared", "started", "stopped", "failed"]


def nonblocking(function: F) -> F:
    """Declare that a request hook never waits, so that it may run on the event loop before inline routes."""
    function.nonblocking = True  # type: ignore[attr-defined]
    return function


class NoSettings(msgspec.Struct, frozen=True):
    """The settings of a plugin that has none."""


class Plugin:
    """A subsystem; subclass it, name it, and mark hook implementations with ``@hookimpl``.

    A class says what it needs before any of its code runs: `provides`, `requires` and `uses` are contracts
    (protocols, usually from ``kernel.contracts``), never plugin names. What it `requires` is there, and started,
    before it; what it `uses` is there before it if anyone provides it. `Settings` describes its section of
    ``kernel.toml``, `hookspecs` are classes of hook specifications that others may implement, `events` the
    events it publishes. `api` holds the versions of the kernel's API it works with.
    """

    name: ClassVar[str]
    api: ClassVar[range] = range(1, API_VERSION + 1)
    provides: ClassVar[tuple[type, ...]] = ()
    requires: ClassVar[tuple[type, ...]] = ()
    uses: ClassVar[tuple[type, ...]] = ()
    Settings: ClassVar[type[msgspec.Struct]] = NoSettings
    hookspecs: ClassVar[tuple[type, ...]] = ()
    events: ClassVar[tuple[type[Event], ...]] = ()

    def __init__(self, kernel: Kernel, settings: Any) -> None:
        """Keep the kernel and the settings; a subclass that overrides this does nothing slow here."""
        self.kernel = kernel
        self.settings = settings

    def format_error(self, request: Request, problem: Problem, error: Exception) -> Response | None:
        """Render an error on one of this plugin's routes in its own manner; None leaves problem details.

        So it does a 405 on a path whose routes are all this plugin's.
        `problem` is what may be shown; `error` is the exception itself, for plugins that know its type. Its
        text must not reach the client unless the plugin raised it for that purpose.
        """
        return None


class PluginRecord:
    """One plugin's place in a kernel: where it came from and how far it got."""

    __slots__ = ("cls", "name", "plugin", "source", "status", "version")

    def __init__(self, cls: type[Plugin], source: str, version: str = "") -> None:
        self.cls = cls
        self.name = cls.name
        self.source = source
        self.version = version
        self.status: Status = "discovered"
        self.plugin: Plugin | None = None

    def __repr__(self) -> str:
        return f"<PluginRecord {self.name} {self.status}>"
