"""A kernel that has nothing but the keys plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel import Kernel
from kernel.config import Config
from plugins.keys import KeysPlugin


class HeldClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def start(tmp_path: Path, clock: HeldClock) -> Iterator[Callable[..., KeysPlugin]]:
    """Return a function that starts a kernel in the test's folder with these settings of keys."""
    with ExitStack() as stack:

        def begin(*, host: str = "127.0.0.1", role: Any = "test", **settings: Any) -> KeysPlugin:
            tables = {"kernel": {"host": host}, "keys": settings}
            config = Config(tables, project=tmp_path)
            kernel = Kernel(config, plugins=[KeysPlugin], role=role, clock=clock)
            stack.enter_context(kernel)
            plugin = kernel.plugins["keys"]
            assert isinstance(plugin, KeysPlugin)
            return plugin

        yield begin


@pytest.fixture
def plugin(start: Callable[..., KeysPlugin]) -> KeysPlugin:
    return start()
