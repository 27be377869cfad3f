"""The public API of backend-kernel: what a plugin's author imports."""

from kernel.config import Secret
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
    "SocketClosed",
    "Upload",
    "Veto",
    "WebSocket",
    "WebSocketRoute",
    "hookimpl",
    "hookspec",
    "nonblocking",
]
