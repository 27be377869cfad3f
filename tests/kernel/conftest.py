"""Kernels of plugins that a test defines itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernel import Kernel, Plugin
from kernel.config import Config


class Build(Protocol):
    """Return an unstarted kernel of these plugins and tables; it is stopped after the test."""

    def __call__(
        self, *plugins: type[Plugin], tables: Mapping[str, Any] | None = None, **environ: str
    ) -> Kernel: ...


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with ExitStack() as stack:

        def make(*plugins: type[Plugin], tables: Mapping[str, Any] | None = None, **environ: str) -> Kernel:
            config = Config(tables, environ, project=tmp_path)
            kernel = Kernel(config, plugins=plugins, role="test")
            stack.callback(kernel.stop)
            return kernel

        yield make
