"""The public API of backend-kernel: what a plugin's author imports.

A name is imported when it is first asked for, so that importing one corner of the kernel (pytest does in
every run, for its fixtures) does not import the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel.config import Secret, SecretURL
    from kernel.errors import KernelError
    from kernel.events import BeforeEvent, Event, Veto
    from kernel.http import FileBody, HTTPError, Problem, Request, Response, Upload
    from kernel.identity import Identity
    from kernel.kernel import Kernel
    from kernel.plugin import Plugin, hookimpl, hookspec, nonblocking
    from kernel.routing import Deprecation, Route, WebSocketRoute
    from kernel.sockets import SocketClosed, WebSocket
    from kernel.sources import Clock, Ids, Random

__all__ = [
    "BeforeEvent",
    "Clock",
    "Deprecation",
    "Event",
    "FileBody",
    "HTTPError",
    "Identity",
    "Ids",
    "Kernel",
    "KernelError",
    "Plugin",
    "Problem",
    "Random",
    "Request",
    "Response",
    "Route",
    "Secret",
    "SecretURL",
    "SocketClosed",
    "Upload",
    "Veto",
    "WebSocket",
    "WebSocketRoute",
    "hookimpl",
    "hookspec",
    "nonblocking",
]

_HOME = {
    "BeforeEvent": "kernel.events",
    "Clock": "kernel.sources",
    "Deprecation": "kernel.routing",
    "Event": "kernel.events",
    "FileBody": "kernel.http",
    "HTTPError": "kernel.http",
    "Identity": "kernel.identity",
    "Ids": "kernel.sources",
    "Kernel": "kernel.kernel",
    "KernelError": "kernel.errors",
    "Plugin": "kernel.plugin",
    "Problem": "kernel.http",
    "Random": "kernel.sources",
    "Request": "kernel.http",
    "Response": "kernel.http",
    "Route": "kernel.routing",
    "Secret": "kernel.config",
    "SecretURL": "kernel.config",
    "SocketClosed": "kernel.sockets",
    "Upload": "kernel.http",
    "Veto": "kernel.events",
    "WebSocket": "kernel.sockets",
    "WebSocketRoute": "kernel.routing",
    "hookimpl": "kernel.plugin",
    "hookspec": "kernel.plugin",
    "nonblocking": "kernel.plugin",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
