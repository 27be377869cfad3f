"""The test kit, installed with the product: kernels, clients, recorders, scenarios and conformance suites.

Names are imported when first asked for, so that a pytest run that uses none of them pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel.testing.client import Client, Reply
    from kernel.testing.factory import KernelFactory, KernelUnderTest
    from kernel.testing.recorder import HookCall, Recorder
    from kernel.testing.scenario import Scenario, scenarios
    from kernel.testing.sockets import SocketClient, SocketRefused
    from kernel.testing.sources import CountedIds, FrozenClock, SeededRandom

__all__ = [
    "Client",
    "CountedIds",
    "FrozenClock",
    "HookCall",
    "KernelFactory",
    "KernelUnderTest",
    "Recorder",
    "Reply",
    "Scenario",
    "SeededRandom",
    "SocketClient",
    "SocketRefused",
    "scenarios",
]

_HOME = {
    "Client": "client",
    "CountedIds": "sources",
    "FrozenClock": "sources",
    "HookCall": "recorder",
    "KernelFactory": "factory",
    "KernelUnderTest": "factory",
    "Recorder": "recorder",
    "Reply": "client",
    "Scenario": "scenario",
    "SeededRandom": "sources",
    "SocketClient": "sockets",
    "SocketRefused": "sockets",
    "scenarios": "scenario",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
